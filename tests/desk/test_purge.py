"""A case is purged: what was said, its keys and its files are gone, and every client learns it quietly."""

import base64
import contextlib
import json
import secrets
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from madoguchi.context import Context
from madoguchi.work.jobs import Runner
from tests.cast import DESK, V1, V3, Json, Person, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, invites
from tests.desk.test_jobs import SetClock, a_context
from tests.matrix.test_backup import begun, key, session
from tests.matrix.test_media import raw, uploads
from tests.postgres import dump

ENCRYPTED = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": "s", "device_id": "d"}


@pytest.fixture
async def ctx(desk: Desk) -> AsyncIterator[Context]:
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")
    async with a_context(desk) as found:
        yield found
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")


async def works(ctx: Context, **later: float) -> None:
    """Time passes, and what the schedule asks for is done."""
    assert isinstance(ctx.clock, SetClock)
    ctx.clock.at += timedelta(**later)
    runner = Runner(ctx)
    await runner.plan()
    ctx.clock.at += timedelta(days=1, minutes=1)
    while await runner.do_next():
        pass


def everything(desk: Desk) -> bytes:
    """The database as text."""
    return dump(desk.workers.database_url)


def files(desk: Desk) -> set[bytes]:
    folder: Path = desk.workers.directory / "data" / "media"
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def sealed(desk: Desk, room: str, mark: str) -> Json:
    """What the keeper puts into the vault for a room."""
    with contextlib.suppress(subprocess.CalledProcessError):
        await desk.run("vault", "init")
    keeper = await desk.keeper()
    body = {"room_id": room, "session_id": mark, "sender_key": "c", "sealed": base64.b64encode(mark.encode()).decode()}
    return await keeper.put(f"{DESK}/keeper/vault_keys", {"keys": [body]})


async def talks(desk: Desk, ken: Person, mark: str, mio: Person | None = None) -> tuple[Person, Json, str]:
    """A whole case, closed: (the young person, the case, the file that they sent). Everything in it holds `mark`, as
    does all in its side room (`side_room_id` of the case)."""
    if mio is None:
        mio, opened = await desk.arrives(with_password=True)
    else:
        opened = await mio.post(DESK + "/cases", {"channel": "web"})
    room = opened["room_id"]
    await accepts(ken, opened["case_id"])
    await invites(await desk.keeper())
    await ken.joins(room)
    first = await mio.sends(room, "m.room.encrypted", ENCRYPTED | {"ciphertext": f"a{mark}"})
    relation = {"m.relates_to": {"rel_type": "m.thread", "event_id": first}}
    await ken.sends(room, "m.room.encrypted", ENCRYPTED | {"ciphertext": f"b{mark}"} | relation)
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(first)}", {})
    await mio.put(f"{V3}/user/{segment(mio.user_id)}/rooms/{segment(room)}/account_data/x.note", {"text": f"n{mark}"})
    await mio.post(f"{V3}/rooms/{segment(room)}/report/{segment(first)}", {"reason": f"p{mark}"})
    file = await uploads(mio, f"file{mark}".encode())
    of_an_app = "channel_id, event_key, person, kind, message_key, happened_at, received_at, sealed, room_id, shown_as"
    desk.workers.postgres.psql(
        f"INSERT INTO bridge_intake ({of_an_app}) VALUES ('x', '{secrets.token_hex(8)}', 'w{mark}', 'message', "
        f"'m{mark}', 1, 1, 's{mark}', '{room}', '$e{mark}')",
        "madoguchi",
    )
    await sealed(desk, room, f"v{mark}")
    side = opened["side_room_id"] = (await ken.post(f"{DESK}/cases/{opened['case_id']}/side_room"))["room_id"]
    await invites(await desk.keeper())
    await ken.joins(side)
    await ken.sends(side, "m.room.encrypted", ENCRYPTED | {"ciphertext": f"s{mark}"})
    await uploads(ken, f"side{mark}".encode(), **{"jp.madoguchi.room_id": side})
    await sealed(desk, side, f"w{mark}")
    await ken.post(f"{DESK}/cases/{opened['case_id']}/close")
    return mio, opened, file


async def test_nothing_of_a_purged_case_is_left_and_clients_learn_it_quietly(desk: Desk, ctx: Context) -> None:
    ken = await desk.staff("健")
    mio, opened, file = await talks(desk, ken, "MARKONE")
    room, case = opened["room_id"], opened["case_id"]
    version = await begun(mio)
    await mio.put(session(room, "s"), key(mark="MARKONE"), version=version)
    before = {person: (await person.sync())["next_batch"] for person in (mio, ken)}
    assert b"MARKONE" in everything(desk) and {b"fileMARKONE", b"sideMARKONE"} <= files(desk)

    told = await desk.run("case", "purge", case, "--reason", "本人の希望", "--yes")
    await works(ctx, seconds=0)
    assert "2 sealed keys, 2 files" in told
    assert b"MARKONE" not in everything(desk)
    for table in ("vault_keys", "key_backup_sessions", "wrapping_keys"):
        rooms = f"SELECT count(*) FROM {table} WHERE room_id IN ('{room}', '{opened['side_room_id']}')"
        assert desk.workers.postgres.psql(rooms, "madoguchi") == "0"
    assert files(desk).isdisjoint({b"fileMARKONE", b"sideMARKONE"})
    assert b"fileMARKONE" not in files(desk)
    # What an app may deliver again is still known, and that it was never shown.
    newest = "SELECT * FROM bridge_intake WHERE channel_id = 'x' ORDER BY seq DESC LIMIT 1"
    kept = f"SELECT outcome, sealed IS NULL, done_at IS NOT NULL FROM ({newest}) AS newest"
    assert desk.workers.postgres.psql(kept, "madoguchi").splitlines() == ["destroyed|t|t"]
    steps = desk.workers.postgres.psql(
        f"SELECT step, reason FROM case_steps WHERE case_id = '{case}' ORDER BY id DESC LIMIT 1", "madoguchi"
    )
    assert steps.strip() == "purged|本人の希望"

    side = opened["side_room_id"]
    for person, place in ((mio, room), (ken, room), (ken, side)):
        told = await person.sync(since=before[person])
        assert place not in told["rooms"].get("join", {})
        left = told["rooms"]["leave"][place]
        shown = [*left["timeline"]["events"], *left.get("state", {}).get("events", [])]
        assert {event["type"] for event in shown} <= {"m.room.member", "m.room.create"}
        assert "MARKONE" not in json.dumps(told)
        assert place not in (await person.sync()).get("rooms", {}).get("join", {})
        await refused(person.reads(place), 403)
        await refused(person.sends(place, "m.room.encrypted", ENCRYPTED | {"ciphertext": "x"}), 403)
    status, _, _ = await raw(mio, f"{V1}/media/download/{file}")
    assert status == 404
    await refused(mio.get(session(room, "s"), version=version), 404)
    assert (await mio.get(f"{V3}/room_keys/version"))["count"] == 0
    await refused(mio.get(DESK + "/cases/mine"), 404)

    # Nothing comes back, and twice does no more.
    await sealed(desk, room, "vMARKONE")
    await sealed(desk, side, "wMARKONE")
    assert "0 events, 0 sealed keys, 0 files" in await desk.run("case", "purge", case, "--reason", "x", "--yes")
    assert b"MARKONE" not in everything(desk)

    # The person comes again as before.
    again = await mio.post(DESK + "/cases", {"channel": "web"})
    assert again["case_id"] != case and again["room_id"] != room


async def test_a_held_case_stays_and_a_purge_is_certified(desk: Desk, ctx: Context, tmp_path: Path) -> None:
    ken, admin = await desk.staff("健"), await desk.administrator()
    _, opened, _ = await talks(desk, ken, "MARKHELD")
    case = opened["case_id"]
    hold = ("case", "hold", case, "--reason-code", "court", "--reference")
    await desk.run(*hold, "R8-12", "--until", f"{ctx.clock.now() + timedelta(days=400):%Y-%m-%d}")
    await desk.run(*hold, "R8-13")
    for words, told in (
        (("case", "purge", case, "--reason", "x", "--yes"), "held (court, court)"),
        (("case", "release", case), "R8-12, R8-13"),
        (("case", "certificate", case), "no certificate"),
        ((*hold, "R8-14", "--until", "2020-01-01"), "over already"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as refusal:
            await desk.run(*words)
        assert told in refusal.value.stderr
    await desk.run("case", "release", case, "--reference", "R8-13")
    listed = [line.split("\t")[:3] for line in (await desk.run("case", "holds")).splitlines()]
    assert [line for line in listed if line[0] == case] == [[case, "court", "R8-12"]]

    # Its time is over, and it stays until the last day of the hold is.
    await admin.put(f"{DESK}/settings/content_days", {"value": 90})
    on = f"{ctx.clock.now() + timedelta(days=100):%Y-%m-%d}"
    line = next(line for line in (await desk.run("case", "due", "--on", on)).splitlines() if case in line)
    figures, mark = line.split("\t")[2:]
    assert mark == "HELD"
    await works(ctx, days=100)
    assert b"MARKHELD" in everything(desk)
    await works(ctx, days=310)
    assert b"MARKHELD" not in everything(desk)
    await admin.put(f"{DESK}/settings/content_days", {"value": 1825})

    file = tmp_path / "certificate.json"
    await desk.run("case", "certificate", case, "--out", str(file))
    said = json.loads(file.read_text())
    destroyed = said["certificate"]["destroyed"]
    assert (destroyed["keys"], destroyed["files"]) == (2, 2)
    assert figures == f"{destroyed['events']} events, 2 sealed keys, 2 files"
    key = (await desk.run("audit", "key")).strip()
    assert "whole and signed by this key" in await desk.run("case", "verify", str(file), "--public-key", key)
    destroyed["keys"] = 3
    file.write_text(json.dumps(said))
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        await desk.run("case", "verify", str(file), "--public-key", key)
    assert "is not what its hash says" in refusal.value.stdout


async def test_a_case_that_has_not_ended_is_not_purged(desk: Desk) -> None:
    _, opened = await desk.arrives()
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        await desk.run("case", "purge", opened["case_id"], "--reason", "x", "--yes")
    assert "has not ended" in refusal.value.stderr
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        await desk.run("case", "purge", "nonsense", "--reason", "x", "--yes")
    assert "no such case" in refusal.value.stderr


async def test_a_file_of_two_cases_goes_with_the_last(desk: Desk, ctx: Context) -> None:
    ken = await desk.staff("健")
    mio, first, _ = await talks(desk, ken, "MARKTWO")
    _, second, _ = await talks(desk, ken, "MARKTHREE", mio)
    # Mio was in both rooms when the second file came; nobody can tell for which it was.
    await desk.run("case", "purge", first["case_id"], "--reason", "x", "--yes")
    await works(ctx, seconds=0)
    assert b"fileMARKTWO" not in files(desk)
    assert b"fileMARKTHREE" in files(desk)
    await desk.run("case", "purge", second["case_id"], "--reason", "x", "--yes")
    await works(ctx, seconds=0)
    assert b"fileMARKTHREE" not in files(desk)


async def test_a_file_for_a_named_room_goes_with_that_one(desk: Desk, ctx: Context) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    _, first, _ = await talks(desk, ken, "MARKFOUR")
    _, second, _ = await talks(desk, ken, "MARKFIVE")
    named = {"jp.madoguchi.room_id": first["room_id"]}
    await uploads(keeper, b"for the first", **named)
    await uploads(keeper, b"for nobody")
    stranger, _ = await desk.arrives()
    await uploads(stranger, b"not in that room", **named)
    await desk.run("case", "purge", first["case_id"], "--reason", "x", "--yes")
    await works(ctx, seconds=0)
    assert {b"for nobody", b"not in that room"} <= files(desk)
    assert b"for the first" not in files(desk)
    await desk.run("case", "purge", second["case_id"], "--reason", "x", "--yes")


async def test_when_its_time_is_over_a_case_is_purged_and_a_month_later_forgotten(desk: Desk, ctx: Context) -> None:
    ken, admin = await desk.staff("健"), await desk.administrator()
    await admin.put(f"{DESK}/settings/content_days", {"value": 90})
    await admin.put(f"{DESK}/settings/session_days", {"value": 365})
    mio, opened, _ = await talks(desk, ken, "MARKSIX")
    repeated, first, _ = await talks(desk, ken, "MARKSEVEN")
    _, running = await desk.arrives()
    await works(ctx, days=80)
    assert b"MARKSIX" in everything(desk)
    await works(ctx, days=10)
    assert b"MARKSIX" not in everything(desk) and b"fileMARKSIX" not in files(desk)

    def state(case_id: str) -> str:
        return desk.workers.postgres.psql(
            f"SELECT state, forgotten_at IS NOT NULL FROM cases WHERE id = '{case_id}'", "madoguchi"
        ).strip()

    assert state(opened["case_id"]) == "purged|f"
    assert state(running["case_id"]) == "waiting|f"
    newer = await repeated.post(DESK + "/cases", {"channel": "web"})
    await works(ctx, days=31)
    assert state(opened["case_id"]) == state(first["case_id"]) == "purged|t"
    assert opened["room_id"] not in everything(desk).decode().replace(f"\t{opened['room_id']}\t{mio.user_id}", "")
    assert everything(desk).decode().count(opened["side_room_id"]) == 1
    # Who has no other case has no account either; who has, goes on.
    await refused(mio.get(f"{V3}/account/whoami"), 401)
    assert state(newer["case_id"]) == "waiting|f"
    await repeated.get(f"{V3}/account/whoami")
    await admin.put(f"{DESK}/settings/content_days", {"value": 1825})
    await admin.put(f"{DESK}/settings/session_days", {"value": 30})
