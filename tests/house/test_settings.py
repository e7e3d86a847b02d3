"""Settings: three sources, one meaning, and errors that say where to look."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from madoguchi import config
from madoguchi.cli import main
from madoguchi.config import SettingsError

TOP = Path(__file__).resolve().parents[2]


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "madoguchi.toml"
    path.write_text(text)
    return path


def test_a_flag_beats_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    file = a_file(tmp_path, 'listen = "127.0.0.1:1"\nserver_name = "a.example"\nlimits = "off"\n')
    environ = {"MADOGUCHI_LISTEN": "127.0.0.1:2", "MADOGUCHI_SERVER_NAME": "b.example"}
    settings = config.load({"listen": "127.0.0.1:3", "data": None}, environ=environ, file=file)
    assert (settings.listen, settings.server_name, settings.limits) == ("127.0.0.1:3", "b.example", "off")
    assert settings.registration == "closed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'listen = "127.0.0.1:1"\n\n# people\nregistraton = "open"\n',
            "line 4: unknown setting 'registraton'. Did you mean",
        ),
        (
            'listen = "127.0.0.1:1"\nregistration = "everybody"\n',
            'line 2: wrong value \'everybody\' .* "closed", "token"',
        ),
        ('\n\nlisten = "8008"\n', "line 3: wrong value .* must be HOST:PORT"),
        ('media_max_bytes = "many"\n', "line 1: wrong value 'many'"),
        ("media_max_bytes = 1\n", "line 1: wrong value 1"),
        ('server_name = "a b"\n', "line 1: wrong value 'a b'"),
        ('public_url = "soudan.example"\n', "line 1: wrong value"),
        ('trusted_proxies = ["10.0.0.0/8", "all"]\n', "line 1: wrong value"),
        ('appservices = ["/nowhere.yaml"]\n', "line 1: .*nowhere.yaml is not a file"),
        ('limits = "on"\n[listen]\nhost = "x"\n', "line 2: wrong value"),
        ('limits = "on"\n\nlisten = \n', "line 3: not valid TOML"),
        ('limits = "on"\nlimits = "off"\n', "line 2: not valid TOML"),
        ('app_name = "two\\nlines"\n', "line 1: .* one line"),
        ('app_icon = "madoguchi.toml"\n', "line 1: .* must be a square PNG"),
        ('app_icon = "nowhere.png"\n', "line 1: .*nowhere.png is not a file"),
        ('registration = "token"\n', "line 1: .* registration_token must be set"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = a_file(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        config.load(environ={}, file=file)
    assert re.search(f"madoguchi.toml, {said}", str(refused.value)), refused.value


def test_what_is_wrong_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MADOGUCHI_LIMITS: wrong value 'maybe'"):
        config.load(environ={"MADOGUCHI_LIMITS": "maybe"})
    with pytest.raises(SettingsError, match=r"unknown setting 'MADOGUCHI_LISTN'. Did you mean 'MADOGUCHI_LISTEN'"):
        config.load(environ={"MADOGUCHI_LISTN": "127.0.0.1:1"})


def test_a_secret_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        config.load(environ={"MADOGUCHI_DATABASE_URL": "mysql://me:hunter2@db/x"})
    assert "hunter2" not in str(refused.value)


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = config.load(environ={}, file=a_file(tmp_path, 'data = "desk"\n'))
    assert settings.data == tmp_path / "desk"


def test_a_child_gets_exactly_the_settings_of_its_parent(tmp_path: Path) -> None:
    registration = tmp_path / "other.yaml"
    registration.write_text("id: other\n")
    flags = {"data": str(tmp_path), "appservices": (str(registration),), "trusted_proxies": ("10.0.0.0/8", "::1/128")}
    settings = config.load(flags, environ={})
    assert config.load(environ=config.to_environ(settings)) == settings


def test_the_desk_remembers_its_name(tmp_path: Path) -> None:
    (tmp_path / "server-name").write_text("soudan.example\n")
    assert config.load({"data": str(tmp_path)}, environ={}).server_name == "soudan.example"


def test_config_shows_what_is_in_effect_and_masks_secrets(tmp_path: Path) -> None:
    environ = {
        "MADOGUCHI_REGISTRATION": "token",
        "MADOGUCHI_REGISTRATION_TOKEN": "swordfish",
        "MADOGUCHI_DATABASE_URL": "postgresql://desk:hunter2@db.example/desk?sslpassword=hunter3",
    }
    shown = CliRunner().invoke(main, ["config", "--data", str(tmp_path)], env=environ)
    assert shown.exit_code == 0
    assert 'registration_token = "***"' in shown.output
    assert 'database_url = "postgresql://desk:***@db.example/desk?sslpassword=***"' in shown.output
    assert not re.search("swordfish|hunter", shown.output)


def test_a_wrong_setting_ends_the_command_with_one_line(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["serve", "--data", str(tmp_path), "--listen", "here"])
    assert shown.exit_code == 2
    assert shown.output.strip() == (
        "Error: flag --listen: wrong value 'here' for '--listen': "
        "must be HOST:PORT, for example 127.0.0.1:8008 or [::1]:8008."
    )


def test_every_setting_is_on_the_page_for_people() -> None:
    page = (TOP / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9_]+)` \|(.*)\|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(config.NAMES)
    for name, text in rows:
        assert config.describe(name).split(";")[0].rstrip(".") in text, name


@pytest.mark.parametrize(
    ("address", "found"),
    [("127.0.0.1:8008", ("127.0.0.1", 8008)), ("[::1]:80", ("::1", 80)), ("soudan.example:0", ("soudan.example", 0))],
)
def test_addresses(address: str, found: tuple[str, int]) -> None:
    assert config.split_address(address) == found
    assert config.join_address(*found) == address


@pytest.mark.parametrize("address", ["8008", ":8008", "::1:8008", "a:b", "a:99999", "a b:1", "http://a:1"])
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValueError):
        config.split_address(address)
