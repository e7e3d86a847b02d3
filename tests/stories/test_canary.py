"""The words of all stories, searched afterwards where they must not be: database, data directory, logs, processes and
the files that they hold open, what a process leaves behind that dies at once, and what is handed out of the desk.

Runs last (conftest.py). Words come from tests/words.py; the stories of this run have spoken them by now, and this one
speaks its own, so that it means something alone too.
"""

import asyncio
import base64
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cast import DESK, Cast
from tests.house import House
from tests.postgres import dump
from tests.standins.counsellor import CounsellorClient
from tests.stories.test_matrix_client import at_a_client
from tests.words import SPOKEN, word


def forms(text: str) -> Iterator[bytes]:
    """A word as it could lie somewhere: plain, UTF-16, hex, and base64 at each of its three alignments."""
    plain = text.encode()
    yield plain
    yield text.encode("utf-16-le")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for before in range(3):
        # Without the characters that the neighbours have a part in.
        encoded = base64.b64encode(b"\0" * before + plain)
        first, last = (0, 2, 3)[before], (len(plain) + before) // 3 * 4
        yield encoded[first:last]
        yield base64.urlsafe_b64encode(base64.b64decode(encoded))[first:last]


def needles(words: set[str]) -> dict[bytes, str]:
    """Every form of every word -> the word."""
    return {form: text for text in words for form in forms(text)}


def found_in(content: bytes, wanted: dict[bytes, str]) -> set[str]:
    """The words of which a form stands in `content`."""
    return {text for form, text in wanted.items() if form in content}


async def test_what_was_said_lies_nowhere(house: House, cast: Cast, tmp_path: Path) -> None:
    case = await cast.line.call("POST", f"{DESK}/cases", {"channel": "web", "with_password": True})
    staff, room = house.staff[0], case["room_id"]
    async with (
        at_a_client(house, case["user_id"], case["password"], tmp_path / "mio") as mio,
        CounsellorClient(house.base_url, staff.user_id, staff.password, tmp_path / "ken") as ken,
    ):
        asked, answered = word("誰にも言わないで"), word("ここだけの話です")
        await mio.says(room, asked)
        await ken.accepts(case["case_id"])
        await ken.reads_history(room)
        await ken.sees(room, asked)
        await ken.says(room, answered)
        await mio.hears(room, answered)
        await ken.closes(case["case_id"])

    # The search itself is tried first: what is said in the clear, in a room that is no case, is found.
    aoi = await cast.person("aoi")
    control = word()
    SPOKEN.discard(control)
    await aoi.says(await aoi.opens_a_room(), control)
    database = dump(house.database_url)
    assert found_in(database, needles({control})) == {control}

    assert len(SPOKEN) >= 2
    in_all_forms, as_it_is = needles(SPOKEN), {text.encode(): text for text in SPOKEN}
    assert found_in(database, in_all_forms) == set()
    for file, words in handed_out(tmp_path):
        done = await asyncio.to_thread(house.run, *words)
        # A ledger that has drifted since the last ends with 1.
        assert done.returncode == 0 or (words[1] == "make" and done.returncode == 1), done.stderr
        told = f"{done.stdout}{done.stderr}".encode() + (file.read_bytes() if file.exists() else b"")
        assert told
        assert found_in(told, in_all_forms) == set(), words
    held = list(held_open(house))
    assert any("keeper.log" in holder for holder, _ in held)
    for holder, opened in held:
        assert found_in(opened, in_all_forms) == set(), holder
    # Those who have words in memory die in the middle of it: what they leave behind is searched with all the rest.
    for verb in ("keeper", "bridges", "serve"):
        await asyncio.to_thread(house.kills, verb, by=signal.SIGABRT)
    cores = [path for folder in (house.data, Path.cwd(), Path("/")) for path in folder.glob("core*") if path.is_file()]
    assert cores == []
    for path in house.written():
        # The database's own files hold what the dump holds, and what was deleted: as it is will do there.
        in_database = (house.data / "postgres") in path.parents
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # came and went
            continue
        assert found_in(content, as_it_is if in_database else in_all_forms) == set(), path
    for process in house.everybody():
        try:
            shown = "\0".join([*process.cmdline(), *process.environ().values()]).encode()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        assert found_in(shown, in_all_forms) == set(), process


def handed_out(folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """(file, command): what an operator takes out of the desk, or is shown."""
    audit, ledger, page = folder / "audit.jsonl", folder / "ledger.json", folder / "ledger.html"
    return [
        (audit, ("audit", "export", "--out", str(audit))),
        (ledger, ("ledger", "make")),
        (ledger, ("ledger", "export", "--format", "json", "--out", str(ledger))),
        (page, ("ledger", "export", "--out", str(page))),
        (page, ("roles", "show")),
    ]


def held_open(house: House) -> Iterator[tuple[str, bytes]]:
    """(who and which, content) of every plain file that a process of the house holds open or has mapped, also of those
    that have no name any more. Programs and libraries are left out, which nobody has written to; so is the database
    server: its files are searched with the data directory."""
    for process in house.everybody():
        if process.name() == "postgres":
            continue
        at = Path(f"/proc/{process.pid}")
        for file in [*_listed(at / "fd"), *_listed(at / "map_files")]:
            try:
                facts = file.stat()
                if not stat.S_ISREG(facts.st_mode) or facts.st_mtime < process.create_time():
                    continue
                yield f"{process.name()} {file.readlink()}", file.read_bytes()
            except OSError:  # closed by now
                continue


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def test_the_search_knows_every_form() -> None:
    for text in ("a", "ab", "abc"):
        secret = "kasutanohimeragu"
        around = f"{text}{secret}{text}".encode()
        for content in (around, around.hex().encode(), base64.b64encode(around), around.decode().encode("utf-16-le")):
            assert found_in(content, needles({secret})) == {secret}
    assert found_in(base64.b64encode(b"something else entirely"), needles({"kasutanohimeragu"})) == set()
