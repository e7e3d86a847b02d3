"""The files that describe application services, as bridges write them and as people get them wrong."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from madoguchi import bootstrap
from madoguchi.config import Settings
from madoguchi.core.chat import registrations
from madoguchi.core.chat.registrations import AppService, RegistrationError
from tests.house import MADOGUCHI

GOOD = """
id: planes
url: http://127.0.0.1:9
as_token: secret-as
hs_token: secret-hs
sender_localpart: planes
namespaces: {users: [{regex: "@plane_.*", exclusive: true}, {regex: "@guest_.*", exclusive: false}]}
"""
# What mautrix writes, with `url` and `protocols` as other bridges have them.
MAUTRIX = """
id: signal
url: null
as_token: secret-as
hs_token: secret-hs
sender_localpart: AbC_dEf
rate_limited: false
protocols: null
namespaces:
    users:
        - regex: ^@signalbot:x\\.example$
          exclusive: true
        - regex: ^@signal_.*:x\\.example$
          exclusive: true
    aliases: null
de.sorunome.msc2409.push_ephemeral: true
receive_ephemeral: true
org.matrix.msc3202: true
io.element.msc4190: true
"""


def read(directory: Path, text: str, name: str = "a") -> AppService:
    path = directory / f"{name}.yaml"
    path.write_text(text)
    [service] = registrations.load([path], "x.example")
    return service


def test_a_registration_says_for_whom_it_speaks(tmp_path: Path) -> None:
    service = read(tmp_path, GOOD)
    assert service.sender == "@planes:x.example"
    assert service.speaks_for("@plane_1:x.example")
    assert service.speaks_for("@guest_1:x.example")
    assert not service.speaks_for("@mio:x.example")
    assert service.keeps_for_itself("@plane_1:x.example")
    assert not service.keeps_for_itself("@guest_1:x.example")
    assert service.rate_limited and not service.hears_devices


def test_what_bridges_write_is_understood(tmp_path: Path) -> None:
    service = read(tmp_path, MAUTRIX)
    assert (service.url, service.protocols, service.aliases) == (None, (), ())
    assert service.receive_ephemeral and service.msc3202 and not service.rate_limited
    assert service.speaks_for("@AbC_dEf:x.example") and service.speaks_for("@signal_1:x.example")
    assert not service.speaks_for("@signalbot:elsewhere.example")
    old = MAUTRIX.replace("receive_ephemeral: true\n", "").replace("url: null", "url: ''")
    assert read(tmp_path, old).receive_ephemeral and read(tmp_path, old).url is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ""), ("[]", ""), ("id: [", "not YAML"), (GOOD.replace("id:", "di:"), "`id`"),
        (GOOD.replace("id: planes", "id: 5"), "$.id"),
        (GOOD.replace("secret-as", ""), "$.as_token"),
        (GOOD.replace("secret-hs", "'secret\\nhs日'"), "$.hs_token"),
        (GOOD.replace("http://127.0.0.1:9", "ftp://x"), "$.url"),
        (GOOD.replace("http://127.0.0.1:9", "'http://x:99999'"), "$.url"),
        (GOOD.replace("http://127.0.0.1:9", "http:///nowhere"), "$.url"),
        (GOOD.replace("sender_localpart: planes", "sender_localpart: 'a:b'"), "$.sender_localpart"),
        (GOOD.replace("@guest_.*", "@guest_("), "$.namespaces.users[1].regex"),
        (GOOD + "rate_limited: perhaps", "$.rate_limited"),
        (GOOD + "receive_ephemeral: 1", "$.receive_ephemeral"),
        (GOOD + "protocols: [1]", "$.protocols[0]"),
    ],
)  # fmt: skip
def test_a_bad_registration_is_told_by_file_and_key_and_without_its_secrets(
    tmp_path: Path, text: str, where: str
) -> None:
    with pytest.raises(RegistrationError) as told:
        read(tmp_path, text, "bad")
    assert "bad.yaml" in str(told.value) and where in str(told.value)
    assert "secret" not in str(told.value)


def test_two_registrations_share_neither_id_nor_token_nor_user(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    paths[0].write_text(GOOD)
    other = GOOD.replace("planes", "kites").replace("secret-as", "secret-2")
    paths[1].write_text(other)
    assert len(registrations.load(paths, "x.example")) == 2
    for key, value in (("id", "planes"), ("as_token", "secret-as"), ("sender_localpart", "planes")):
        kept = [line for line in other.splitlines() if not line.startswith(f"{key}:")]
        paths[1].write_text("\n".join([*kept, f"{key}: {value}"]))
        with pytest.raises(RegistrationError, match=rf"b\.yaml: its {key} "):
            registrations.load(paths, "x.example")
    with pytest.raises(RegistrationError, match=r"missing\.yaml"):
        registrations.load([tmp_path / "missing.yaml"], "x.example")


def test_no_process_starts_with_a_bad_registration(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("id: planes", "id: 5"))
    env = {"MADOGUCHI_APPSERVICES": str(bad), "MADOGUCHI_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
    command = [MADOGUCHI, "work", "--data", str(tmp_path / "data")]
    told = subprocess.run(command, capture_output=True, text=True, env=os.environ | env, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"Error: {bad}: Expected `str`, got `int` - at `$.id`.\n"


def test_our_own_registration_learns_the_apps_of_a_newer_version_and_keeps_its_tokens(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, server_name="desk.test")
    bootstrap.make_keys(settings)
    path = settings.keys / "registration-bridges.yaml"
    now = yaml.safe_load(path.read_text())
    assert [user["regex"] for user in now["namespaces"]["users"]] == ["@line_.*", "@telegram_.*"]
    older = now | {"namespaces": {"users": [{"exclusive": True, "regex": "@line_.*"}], "aliases": [], "rooms": []}}
    path.write_text(yaml.safe_dump(older))
    bootstrap.make_keys(settings)
    assert yaml.safe_load(path.read_text()) == now
    assert path.stat().st_mode & 0o077 == 0
