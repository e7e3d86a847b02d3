"""The signed roster, and the key in its file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from nacl.signing import SigningKey

from madoguchi.cli import main
from madoguchi.core.desk.roster import differences
from madoguchi.crypto import locked_key, roster
from madoguchi.crypto.cross_signing import encode_base64, public
from madoguchi.crypto.roster import BadRoster, Entry

KEN = Entry("@ken:desk", "健", "counsellor", "kenskey")
SATO = Entry("@sato:desk", "佐藤", "supervisor", "satoskey")
AT = datetime(2026, 11, 29, 5, 0, tzinfo=UTC)


def test_only_what_its_operator_signed_for_this_desk_is_a_roster() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    public = encode_base64(bytes(key.verify_key))
    good = roster.sign(key, "desk", 3, AT, [KEN, SATO])
    found = roster.verify(good, public, "desk")
    assert (found.number, found.issued_at, found.staff) == (3, "2026-11-29T05:00:00Z", [KEN, SATO])
    assert found.master_key_of("@ken:desk") == "kenskey"
    assert found.master_key_of("@aoi:desk") is None
    lies: list[Any] = [
        good | {"number": 4},
        good | {"staff": []},
        good | {"more": True},
        good | {"signature": "%"},
        good | {"key": encode_base64(bytes(other.verify_key))},
        roster.sign(other, "desk", 4, AT, [KEN]),
        roster.sign(key, "elsewhere", 4, AT, [KEN]),
        {},
        [],
        None,
    ]
    for lie in lies:
        with pytest.raises(BadRoster):
            roster.verify(lie, public, "desk")


def test_a_key_hands_over_to_the_next_and_nobody_else_does() -> None:
    first, second, third, other = (SigningKey.generate() for _ in range(4))
    steps = [roster.succeed(first, second, "desk", AT), roster.succeed(second, third, "desk", AT)]
    good = roster.sign(third, "desk", 5, AT, [KEN], steps)
    for known in (first, second, third):
        assert roster.verify(good, public(known), "desk").key == public(third)
    forged = roster.succeed(other, third, "desk", AT)
    lies = [
        roster.sign(third, "desk", 5, AT, [KEN]),
        roster.sign(third, "desk", 5, AT, [KEN], steps[1:]),
        roster.sign(third, "desk", 5, AT, [KEN], steps[::-1]),
        roster.sign(other, "desk", 5, AT, [KEN], steps),
        roster.sign(third, "desk", 5, AT, [KEN], [msgspec.structs.replace(forged, key=public(first))]),
        roster.sign(third, "desk", 5, AT, [KEN], [roster.succeed(first, third, "elsewhere", AT)]),
        good | {"succession": [*good["succession"], msgspec.to_builtins(forged)]},
    ]
    for lie in lies:
        with pytest.raises(BadRoster):
            roster.verify(lie, public(first), "desk")
    # Who has come to the next key does not go back to the one before, whatever that one still signs.
    for stolen in (roster.sign(first, "desk", 9, AT, [KEN]), roster.sign(first, "desk", 9, AT, [KEN], steps)):
        with pytest.raises(BadRoster):
            roster.verify(stolen, public(third), "desk")
    with pytest.raises(BadRoster):
        roster.verify(good, public(other), "desk")


def test_what_signing_changes_is_said_and_a_replaced_identity_loudest() -> None:
    before = roster.verify(
        roster.sign(key := SigningKey.generate(), "desk", 1, AT, [KEN, SATO]),
        encode_base64(bytes(key.verify_key)),
        "desk",
    )
    assert differences(before, [KEN, SATO]) == []
    replaced = Entry(KEN.user_id, KEN.name, "supervisor", "another")
    aoi = Entry("@aoi:desk", "葵", "counsellor", "aoiskey")
    said = differences(before, [replaced, aoi])
    assert [line.split(":")[0] for line in said] == ["IDENTITY REPLACED", "changed", "new", "gone"]
    assert "another, not kenskey" in said[0]


def test_a_key_is_opened_by_its_passphrase_alone(tmp_path: Path) -> None:
    file, key = tmp_path / "roster.key", SigningKey.generate()
    locked_key.write(file, key, "correct horse")
    assert file.stat().st_mode & 0o077 == 0
    assert bytes(key).hex() not in file.read_text()
    assert locked_key.read(file, "correct horse") == key
    with pytest.raises(locked_key.WrongPassphrase):
        locked_key.read(file, "correct horsf")
    with pytest.raises(FileExistsError):
        locked_key.write(file, key, "another")
    for damage in ("", "{}", "[]", file.read_text().replace("key 1", "key 9"), file.read_text()[:-9]):
        broken = tmp_path / "broken.key"
        broken.write_text(damage)
        with pytest.raises(locked_key.BadKeyFile):
            locked_key.read(broken, "correct horse")


def test_the_key_until_now_is_said_or_said_to_be_lost(tmp_path: Path) -> None:
    for words in ([], ["--lost", "--key", str(tmp_path / "roster.key")]):
        words = ["roster", "rotate", "--new-key", str(tmp_path / "next.key"), "--data", str(tmp_path), *words]
        done = CliRunner().invoke(main, words)
        assert done.exit_code != 0 and "Either --key FILE" in done.output
