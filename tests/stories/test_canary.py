"""The words of all stories, searched afterwards everywhere (search.py): what tests/README.md lists, and what a process
leaves behind that dies at once, what the vault's holders leave behind who open a case and exchange their key, and what
is handed out of the desk.

Runs last (conftest.py). Words come from tests/words.py; the stories of this run have spoken them by now, and this one
speaks its own, so that it means something alone too.
"""

import asyncio
import base64
import gzip
import io
import secrets
import signal
import zipfile
import zlib
from pathlib import Path

import aiohttp
import pytest

from tests.cast import DESK, V3, Cast
from tests.house import GATEWAY_PORT, OPEN, House
from tests.search import FORMS, TOLD, Search, unpacked, words_in
from tests.standins.counsellor import CounsellorClient
from tests.standins.gateway import Gateway
from tests.stories.test_matrix_client import at_a_client
from tests.words import SECRETS, SPOKEN, STEM, secret, word


async def test_what_was_said_lies_nowhere(house: House, cast: Cast, tmp_path: Path) -> None:
    case_id, said = await a_case_with_everything(house, cast, tmp_path)
    in_clear = await what_is_no_secret(cast)
    assert len(SPOKEN) > len(said) + len(in_clear)

    search = Search()
    # What has left the desk, and what is shown of it.
    assert {taker for taker, _ in TOLD} >= {"a push gateway"}
    for taker, told in TOLD:
        search.at(f"told: {taker}", told)
    for words, told in await asyncio.to_thread(handed_out, house, tmp_path):
        search.at(f"{'audit' if words.startswith('audit') else 'shown'}: madoguchi {words}", told)
    for address in (f"{house.base_url}/health", f"{house.base_url}{DESK}/desk", f"{house.base_url}{DESK}/ledger"):
        async with aiohttp.ClientSession() as http, http.get(address) as answer:
            search.at(f"shown: {answer.url.path}", await answer.read())
    await asyncio.to_thread(the_holders_open_and_exchange, house, case_id, said, tmp_path)
    # As long as those who have words in memory live, and when they have died in the middle of it.
    for each in OPEN:
        search.processes(each)
        search.at_rest(each)
        await asyncio.to_thread(search.backup, each)
    assert any("keeper.log" in place for place in search.found if place.startswith("held: "))
    for verb in ("keeper", "bridges", "serve"):
        await asyncio.to_thread(house.kills, verb, by=signal.SIGABRT)
    cores = [path for folder in (house.data, Path.cwd(), Path("/")) for path in folder.glob("core*") if path.is_file()]
    assert cores == []
    search.at_rest(house)
    search.wire()
    # The search itself: what is no secret was found, where it was looked for and where it may stand.
    assert in_clear <= search.lies_in("database: public.") & search.lies_in("wire: ")
    search.ends()


async def a_case_with_everything(house: House, cast: Cast, home: Path) -> tuple[str, set[str]]:
    """A conversation between two Matrix clients, one of which is called by push, and what the staff say beside it: the
    case, and what was said."""
    opened = await cast.line.call("POST", f"{DESK}/cases", {"channel": "web", "with_password": True})
    staff, room, case_id = house.staff[0], opened["room_id"], opened["case_id"]
    gateway = Gateway(GATEWAY_PORT)
    await gateway.opens()
    try:
        async with (
            at_a_client(house, opened["user_id"], opened["password"], home / "mio") as mio,
            CounsellorClient(house.base_url, staff.user_id, staff.password, home / "ken") as ken,
        ):
            pushkey = secrets.token_hex(8)
            pusher = {
                "app_id": "jp.example.phone", "app_display_name": "App", "device_display_name": "Phone", "kind": "http",
                "lang": "ja", "pushkey": pushkey, "data": {"url": gateway.url},
            }  # fmt: skip
            await cast.line.call("POST", f"{V3}/pushers/set", pusher, token=mio.client.access_token)
            asked, answered, beside = word("誰にも言わないで"), word("ここだけの話です"), word("心配な人です")
            await mio.says(room, asked)
            await ken.accepts(case_id)
            await ken.reads_history(room)
            await ken.sees(room, asked)
            event = await ken.says(room, answered)
            await mio.hears(room, answered)
            await ken.says(await ken.opens_the_side_room(case_id), beside)
            await gateway.hears(pushkey, lambda told: told.get("event_id") == event)
            # Why somebody is handed over or asked for is what staff tell the desk itself (docs/security.md).
            why = word("今夜の危険", lies_in=("database", "wire", "audit"))
            await ken.device.call("POST", f"{DESK}/cases/{case_id}/identity_request", {"reason": why, "hours": 1})
            await ken.closes(case_id)
    finally:
        await gateway.closes()
    return case_id, {text.split()[-1] for text in (asked, answered, beside)}


async def what_is_no_secret(cast: Cast) -> set[str]:
    """A name, and what is said in a room that is no case and has no encryption."""
    aoi = await cast.person("aoi")
    name, said = (word(what, lies_in=("database", "wire")) for what in ("葵", "だれが読んでもいい"))
    await aoi.put(f"{V3}/profile/{aoi.user_id}/displayname", {"displayname": name})
    await aoi.says(await aoi.opens_a_room(), said)
    return {text.split()[-1] for text in (name, said)}


def handed_out(house: House, folder: Path) -> list[tuple[str, bytes]]:
    """(command, what it tells and writes): what an operator takes out of the desk, or is shown."""
    audit, ledger, page = folder / "audit.jsonl", folder / "ledger.json", folder / "ledger.html"
    told = []
    for file, words in (
        (audit, ("audit", "export", "--out", str(audit))),
        (ledger, ("ledger", "make")),
        (ledger, ("ledger", "export", "--format", "json", "--out", str(ledger))),
        (page, ("ledger", "export", "--out", str(page))),
        (page, ("vault", "check")),
    ):
        done = house.run(*words)
        # A ledger that has drifted since the last ends with 1.
        assert done.returncode == 0 or (words[1] == "make" and done.returncode == 1), done.stdout + done.stderr
        told.append((" ".join(words[:2]), f"{done.stdout}{done.stderr}".encode()))
        if file.exists():
            told.append((f"{words[0]} {words[1]}, {file.name}", file.read_bytes()))
    return told


def the_holders_open_and_exchange(house: House, case_id: str, said: set[str], folder: Path) -> None:
    """They open a case into a place of their own, where everything is found, and exchange the vault's key: neither what
    they read nor their words may stay anywhere else."""
    given = str(house.data / "demo-vault-key.txt")
    why = ("--reason", word("練習", lies_in=("database",)), "--holder", "Abe")
    place, transcript = folder / "opened.zip", Search()
    done = house.run("vault", "open", case_id, "--key", given, *why, "--out", str(place))
    assert done.returncode == 0 and not words_in(f"{done.stdout}{done.stderr}".encode()), done.stderr
    transcript.files("file", folder, [place])
    assert transcript.lies_in("file: ") >= said
    new = folder / "shares"
    again = ("--shares", "3", "--threshold", "2", "--out", str(new))
    done = house.run("vault", "rotate", "--key", given, *why, *again)
    assert done.returncode == 0, done.stderr
    shares = [secret(line, "a share of the vault") for line in new.read_text().splitlines() if line[:1].isalpha()]
    assert len(shares) == 3 and words_in(new.read_bytes()) == set(shares)


@pytest.mark.parametrize("form", FORMS)
def test_the_search_knows_every_form(form: str) -> None:
    planted = word("見つかる").split()[-1]
    for before in (b"", b"a", b"ab"):
        assert words_in(before + FORMS[form](planted) + before) == {planted}
    # What was cut off is found all the same, and what only looks alike is not.
    assert words_in(FORMS[form](STEM)) == {"a word cut off"}
    assert words_in(FORMS[form](STEM[::-1])) == set()


def test_the_search_opens_what_is_compressed_or_encoded() -> None:
    planted = word("見つかる").split()[-1]
    around = f"眠れない {planted} ずっと".encode()
    for before in range(3):
        assert words_in(base64.b64encode(b"x" * before + around)) == {planted}
        assert words_in(base64.urlsafe_b64encode(b"x" * before + around)) == {planted}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", around)
    for content in (b"x" * 99 + gzip.compress(around) + b"x" * 999, zlib.compress(around)[:-4], archive.getvalue()):
        assert words_in(content) == set()
        search = Search()
        search.at("file: x", content)
        assert search.lies_in("file") == {planted}
    # As PostgreSQL's files hold a long value: a byte of its own before every eight.
    for at in range(8):
        value = b"x" * at + around
        assert words_in(b"\0".join(value[n : n + 8] for n in range(0, len(value), 8)), in_pieces=True)
    assert list(unpacked(b"x\x9c nothing of the kind")) == []


def test_whoever_finds_something_says_where_and_whose_it_was() -> None:
    planted = word("こっそり", lies_in=("database",)).encode()
    search = Search()
    search.at("database: public.jobs", planted)
    search.ends()
    search.at("file: logs/serve.log", planted)
    with pytest.raises(AssertionError, match=r"serve\.log: こっそり, .*test_whoever_finds_something") as told:
        search.ends()
    assert planted.split()[-1].decode() not in str(told.value)
    assert not SECRETS.keys() & SPOKEN.keys()
