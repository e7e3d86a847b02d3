"""The checkout: what is locked fits what is asked for, nothing names an index, every folder says what it is."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (TOP / "requirements.lock").read_text(), re.MULTILINE))


def asked_for() -> set[str]:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    every = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {re.split(r"[\[<>=!~; ]", name)[0].lower().replace("_", "-") for name in every}


def test_every_package_that_is_asked_for_is_locked() -> None:
    missing = asked_for() - locked().keys()
    assert not missing, f"`sh tools/lock.sh` locks {missing}"


def test_what_is_locked_has_a_hash_and_no_address() -> None:
    text = (TOP / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    for block in re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_web_packages_are_locked_without_addresses() -> None:
    packages = json.loads((TOP / "client-web" / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or "integrity" in package, name


def tracked_folders() -> list[str]:
    files = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    return sorted({path.split("/")[0] for path in files.splitlines() if "/" in path and not path.startswith(".")})


@pytest.mark.parametrize("folder", tracked_folders())
def test_every_folder_at_the_top_says_what_it_is(folder: str) -> None:
    assert (TOP / folder / "README.md").is_file()
    assert f"[{folder}/]({folder}/README.md)" in (TOP / "README.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    pages = subprocess.run(["git", "ls-files", "*.md"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    for page in map(TOP.joinpath, pages.splitlines()):
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        for target in re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(TOP)} -> {target}"


def test_the_code_names_no_machine_and_no_index() -> None:
    pattern = r"/work/(main|shared)|pypi\.org|registry\.npmjs"
    command = ["git", "grep", "-n", "-I", "-E", pattern, "--", ".", ":!tests/house/test_checkout.py"]
    found = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_the_threat_model_names_tests_that_are_there() -> None:
    page = (TOP / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 30
    for file, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", (TOP / file).read_text(encoding="utf-8"), re.M), (
            f"{file}::{name}"
        )
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 4]
    shown = [row for row in rows if "::" in row or "shown by" in row or "not yet: " in row]
    assert rows == shown, "each row has its test, or says that there is none"
