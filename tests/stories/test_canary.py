"""The words of all stories, searched afterwards where they must not be: database, data directory, logs, processes.

Runs last (conftest.py). Words come from tests/words.py; the stories of this run have spoken them by now, and this one
speaks its own, so that it means something alone too.
"""

import base64
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


def test_the_search_knows_every_form() -> None:
    for text in ("a", "ab", "abc"):
        secret = "kasutanohimeragu"
        around = f"{text}{secret}{text}".encode()
        for content in (around, around.hex().encode(), base64.b64encode(around), around.decode().encode("utf-16-le")):
            assert found_in(content, needles({secret})) == {secret}
    assert found_in(base64.b64encode(b"something else entirely"), needles({"kasutanohimeragu"})) == set()
