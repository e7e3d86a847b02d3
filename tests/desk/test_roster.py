"""Once there is a roster, nobody else of the staff comes into a case's rooms."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from nacl.signing import SigningKey

from madoguchi.crypto import locked_key, roster
from madoguchi.crypto.cross_signing import CrossSigningKeys, public
from tests.cast import DESK, V3, Person, Refusal, password_login, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts

PHRASE = "correct horse battery"
NOT_ON_IT = "JP_MADOGUCHI_NOT_ON_ROSTER"


@pytest.fixture
async def pinned(desk: Desk) -> AsyncIterator[Path]:
    """Where the operator's public key lies; other tests meet no roster."""
    file = desk.workers.directory / "data" / "keys" / "roster.pub"
    yield file
    file.unlink(missing_ok=True)
    desk.workers.postgres.psql("DELETE FROM rosters", "madoguchi")


async def has_identity(person: Person) -> CrossSigningKeys:
    """Makes a cross-signing identity, as a page does at the first sign-in; a new one in the place of an old."""
    keys = CrossSigningKeys.make(person.user_id)
    body = keys.upload_body()
    try:
        await person.post(f"{V3}/keys/device_signing/upload", body)
    except Refusal:
        auth = password_login(person.localpart, person.password)
        asked = await refused(person.post(f"{V3}/keys/device_signing/upload", body), 401)
        await person.post(
            f"{V3}/keys/device_signing/upload", body | {"auth": auth | {"session": asked.body["session"]}}
        )
    return keys


async def fails(desk: Desk, *words: str, input_: str | None = None) -> str:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        await desk.run(*words, input_=input_)
    return str(failed.value.stderr) + str(failed.value.stdout)


async def test_who_is_not_on_the_roster_comes_into_no_case(desk: Desk, pinned: Path, tmp_path: Path) -> None:
    ken, aoi = await desk.staff("健"), await desk.staff("葵")
    keys = await has_identity(ken)
    _, before = await desk.arrives()
    await refused(ken.get(DESK + "/roster"), 404, "M_NOT_FOUND")
    file = str(tmp_path / "roster.key")
    assert "12 characters" in await fails(desk, "roster", "init", "--key", file, input_="short\n")
    assert not pinned.exists()
    assert "next" in (await desk.run("roster", "init", "--key", file, input_=PHRASE + "\n")).lower()
    assert "has a key already" in await fails(desk, "roster", "init", "--key", file + "2", input_=PHRASE + "\n")
    # A key alone changes nothing yet.
    await accepts(aoi, before["case_id"])
    await aoi.post(f"{DESK}/cases/{before['case_id']}/close")

    drafted = await desk.run("roster", "draft")
    assert f"健 {ken.user_id} {keys.master_public}" in drafted
    assert "not on it: 葵" in drafted
    wrong = await fails(desk, "roster", "sign", "--key", file, "--yes", input_="another phrase\n")
    assert "passphrase does not open" in wrong
    assert "Roster 1 is signed" in await desk.run("roster", "sign", "--key", file, "--yes", input_=PHRASE + "\n")
    shown = await ken.get(DESK + "/roster")
    assert {entry["user_id"] for entry in shown["staff"]} >= {ken.user_id}
    assert aoi.user_id not in {entry["user_id"] for entry in shown["staff"]}
    assert "as it was signed" in await desk.run("roster", "verify")
    assert "Not on roster 1" in (doctor := await fails(desk, "doctor")) and "葵" in doctor
    async with aiohttp.ClientSession() as http, http.get(ken.line.base_url + "/roster-key.txt") as answer:
        assert await answer.text() == shown["key"]

    _, opened = await desk.arrives()
    case = f"{DESK}/cases/{opened['case_id']}"
    told = await refused(aoi.post(case + "/accept"), 403, NOT_ON_IT)
    assert "madoguchi roster sign" in told.body["error"]
    await accepts(ken, opened["case_id"])
    await refused(ken.post(case + "/hand_over", {"to": aoi.user_id, "reason": "交代"}), 403, NOT_ON_IT)
    await refused(ken.post(case + "/call_in", {"to": aoi.user_id}), 403, NOT_ON_IT)
    lead = await desk.staff("導", role="supervisor")
    await refused(lead.post(case + "/join"), 403, NOT_ON_IT)
    await refused(lead.post(case + "/side_room"), 403, NOT_ON_IT)

    # Keys in Ken's name that the operator has not signed: the keeper is not asked to let them in.
    keeper = await desk.keeper()
    invited = (await keeper.get(DESK + "/keeper/invitations"))["invitations"]
    assert [seat["user_id"] for seat in invited if seat["case_id"] == opened["case_id"]] == [ken.user_id]
    fresh = await has_identity(ken)
    invited = (await keeper.get(DESK + "/keeper/invitations"))["invitations"]
    assert [seat for seat in invited if seat["case_id"] == opened["case_id"]] == []
    assert "IDENTITY REPLACED: 健" in await desk.run("roster", "draft")
    signed = await desk.run("roster", "sign", "--key", file, "--yes", input_=PHRASE + "\n")
    assert "IDENTITY REPLACED" in signed and "Roster 2 is signed" in signed
    assert fresh.master_public in json.dumps(await ken.get(DESK + "/roster"))
    invited = (await keeper.get(DESK + "/keeper/invitations"))["invitations"]
    assert [seat["user_id"] for seat in invited if seat["case_id"] == opened["case_id"]] == [ken.user_id]

    # Whoever changes it in the database is found, and nobody is vouched for by it.
    desk.workers.postgres.psql(
        "UPDATE rosters SET document = replace(document, '健', '賢') WHERE number = 2", "madoguchi"
    )
    assert "not signed by its key" in await fails(desk, "roster", "verify")
    _, later = await desk.arrives()
    await refused(ken.post(f"{DESK}/cases/{later['case_id']}/accept"), 403, NOT_ON_IT)


async def test_the_key_is_exchanged_and_the_old_one_is_good_for_nothing_more(
    desk: Desk, pinned: Path, tmp_path: Path
) -> None:
    ken = await desk.staff("健")
    await has_identity(ken)
    file, next_file, first = tmp_path / "roster.key", tmp_path / "next.key", SigningKey.generate()
    locked_key.write(file, first, PHRASE)
    pinned.write_text(public(first) + "\n")
    exchange = ("roster", "rotate", "--key", str(file), "--new-key", str(next_file), "--yes")
    assert "Roster 1 is signed" in await desk.run(*exchange, input_=f"{PHRASE}\n{PHRASE} next\n")
    old = await fails(desk, "roster", "sign", "--key", str(file), "--yes", input_=PHRASE + "\n")
    assert "is not the key that this desk knows" in old
    shown = await ken.get(DESK + "/roster")
    assert pinned.read_text() == shown["key"] + "\n"
    # Whoever has not been brought the new key yet follows the signature of the old one; so does the server.
    assert roster.verify(shown, public(first), shown["desk"]).number == 1
    pinned.write_text(public(first) + "\n")
    again = await desk.run("roster", "sign", "--key", str(next_file), "--yes", input_=PHRASE + " next\n")
    assert "Roster 2 is signed" in again
    _, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    # Lost, it hands over to none: whoever knew it refuses the new one.
    lost = ("roster", "rotate", "--lost", "--new-key", str(tmp_path / "anew.key"), "--yes")
    assert "Pages that knew the lost key send nothing" in await desk.run(*lost, input_=PHRASE + "\n")
    shown = await ken.get(DESK + "/roster")
    assert shown["number"] == 3 and "succession" not in shown and pinned.read_text() == shown["key"] + "\n"
    with pytest.raises(roster.BadRoster):
        roster.verify(shown, public(first), shown["desk"])
    log = (await (await desk.administrator()).get(f"{DESK}/audit", limit=10))["entries"]
    told = [json.loads(entry["detail"]) for entry in log if entry["act"] == "roster.rotated"]
    assert [each["lost"] for each in told] == [True, False] and told[0]["key"] == shown["key"]
