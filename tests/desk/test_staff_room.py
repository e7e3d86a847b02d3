"""The staff room over HTTP: who is invited, what is told of whom, and that a command is its sender's, once.

Here the test is the bot; the real one plays in tests/stories/test_staff_room.py."""

import secrets
import time

from madoguchi.keeper.staff_bot import command_in
from madoguchi.storage import checks
from madoguchi.storage.checks import Check
from tests.cast import DESK, Json, Person, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, queue
from tests.desk.test_jobs import a_context
from tests.desk.test_shift import ENCRYPTED, own
from tests.house import SERVER_NAME

ROOM = DESK + "/staff_room"


async def the_bot(desk: Desk) -> Person:
    password = (desk.workers.directory / "data" / "keys" / "deskbot.password").read_text()
    return await desk.enters(f"@deskbot:{SERVER_NAME}", password, "bot")


async def invited(bot: Person, *people: Person) -> str:
    """The bot invites as the desk wants; the people come in. Gives the room."""
    wishes = await bot.get(ROOM)
    for user_id in wishes["invitations"]:
        await bot.post(f"/_matrix/client/v3/rooms/{segment(wishes['room_id'])}/invite", {"user_id": user_id})
    for person in people:
        await person.joins(wishes["room_id"])
    return str(wishes["room_id"])


async def says(person: Person, room: str, bot: Person, command: str, *words: str) -> str:
    """What the bot answers to a command of somebody's; the Japanese line."""
    event = await person.sends(room, "m.room.encrypted", ENCRYPTED)
    body = {"event_id": event, "command": command, "words": list(words)}
    first = await bot.post(ROOM + "/commands", body)
    # Asked again it does no more, whatever the bot then says was said.
    assert await bot.post(ROOM + "/commands", body | {"command": "close"}) == first
    return str(first["answer"]["ja"])


async def said_of(bot: Person, case_id: str) -> list[Json]:
    return [each for each in (await bot.get(ROOM))["sayings"] if each["case_id"] == case_id]


async def number_of(bot: Person, case_id: str) -> str:
    return str((await said_of(bot, case_id))[0]["said"]["ja"].split()[0])


async def tells(bot: Person, case_id: str, event_id: str) -> Json:
    """Says what is to be said of a case first; gives it."""
    saying = (await said_of(bot, case_id))[0]
    await bot.put(ROOM + "/told", {"case_id": case_id, "told": saying["told"], "event_id": event_id})
    return saying


async def test_a_notice_is_told_once_corrected_when_taken_and_forgotten_in_the_end(desk: Desk) -> None:
    bot, ken = await the_bot(desk), await desk.staff("健")
    await invited(bot, ken)
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    saying = await tells(bot, case, "$notice")
    assert "ウェブ" in saying["said"]["ja"]
    assert saying["edits"] is None
    assert await said_of(bot, case) == []
    # It waits for long: told once.
    old = "now() - interval '11 minutes'"
    desk.workers.postgres.psql(f"UPDATE cases SET woke_at = {old} WHERE id = '{case}'", "madoguchi")
    changed, late = await said_of(bot, case)
    assert changed["edits"] == late["about"] == "$notice"
    await bot.put(ROOM + "/told", {"case_id": case, "told": late["told"], "event_id": "$late"})
    assert [each["told"] for each in await said_of(bot, case)] == [changed["told"]]
    await accepts(ken, case)
    taken = await tells(bot, case, "$notice")
    assert (taken["edits"], "健" in taken["said"]["ja"]) == ("$notice", True)
    # Given back it is told anew, so that it is heard.
    await ken.post(f"{DESK}/cases/{case}/give_back")
    again = await tells(bot, case, "$again")
    assert again["edits"] is None
    assert again["turn"] > saying["turn"]
    await mio.post(DESK + "/cases/mine/leave")
    assert (await tells(bot, case, "$again"))["edits"] == "$again"
    await bot.get(ROOM)
    cards = desk.workers.postgres.psql(f"SELECT count(*) FROM staff_room_cards WHERE case_id = '{case}'", "madoguchi")
    assert cards.strip() == "0"
    await refused(bot.put(ROOM + "/told", {"case_id": case, "told": "late:x", "event_id": "$x"}), 400)


async def test_what_the_night_has_found_is_told_once_and_again_when_it_is_more_or_comes_back(desk: Desk) -> None:
    bot, ken = await the_bot(desk), await desk.staff("健")
    await invited(bot, ken)
    desk.workers.postgres.psql("DELETE FROM checks", "madoguchi")
    told: list[str] = []
    async with a_context(desk) as ctx:
        for found in (0, 2, 2, 1, 3, 0, 3):
            async with ctx.db.transaction() as tx:
                await checks.put(tx, Check("ledger", ctx.clock.now(), found))
            for _ in await said_of(bot, ""):
                told.append((await tells(bot, "", "$alarm"))["said"]["ja"])
            assert await said_of(bot, "") == []
    assert [found for found in (1, 2, 3) for said in told if f"変化 {found}件" in said] == [2, 3, 3]
    await refused(bot.put(ROOM + "/told", {"case_id": "", "told": "alarm:ledger:x", "event_id": "$x"}), 400)
    desk.workers.postgres.psql("DELETE FROM checks", "madoguchi")


async def test_who_acts_is_the_sender_by_the_rules_of_the_console(desk: Desk) -> None:
    bot, ken, sato = await the_bot(desk), await desk.staff("健", capacity=1), await desk.staff("佐藤")
    lead, auditor = await desk.staff("主", "supervisor"), await desk.staff("監", "auditor")
    room = await invited(bot, ken, sato, lead, auditor)
    _, opened = await desk.arrives()
    _, other = await desk.arrives()
    case = opened["case_id"]
    number, second = await number_of(bot, case), await number_of(bot, other["case_id"])
    assert "相談員ではありません" in await says(auditor, room, bot, "accept", number)
    assert number in await says(ken, room, bot, "queue")
    assert "受けました" in await says(ken, room, bot, "accept", number)
    assert "先に 健" in await says(sato, room, bot, "accept", number)
    assert "数に達して" in await says(ken, room, bot, "accept", second)
    assert "あなたの相談ではない" in await says(sato, room, bot, "close", number)
    assert "役割" in await says(sato, room, bot, "join", number)
    assert "に入ります" in await says(lead, room, bot, "join", number)
    assert "番号を" in await says(ken, room, bot, "risk")
    assert "none, watch" in await says(ken, room, bot, "risk", number, "?")
    assert "高い" in await says(ken, room, bot, "risk", number, "high")
    assert (await own(ken))[case]["risk"] == "high"
    # By what the console calls a case, too.
    assert "休みに" in await says(ken, room, bot, "rest", case[-4:].upper())
    assert "休み中" in await says(ken, room, bot, "mine")
    assert "その番号の相談はありません" in await says(ken, room, bot, "rest", "123456")
    assert "命令はありません" in await says(ken, room, bot, "unknown")
    assert "!accept" in await says(ken, room, bot, "help")
    namesakes = [await desk.staff("同名"), await desk.staff("同名")]
    assert namesakes[0].user_id in await says(ken, room, bot, "handover", number, "同名")
    assert "名前かチーム" in await says(ken, room, bot, "handover", number)
    assert "引きつぎました" in await says(ken, room, bot, "handover", number, sato.user_id, "勤務の終わり")
    assert case in await own(sato)
    steps = desk.workers.postgres.psql(f"SELECT step FROM case_steps WHERE case_id = '{case}' ORDER BY id", "madoguchi")
    assert steps.split() == ["arrived", "accepted", "joined", "risk", "rested", "handed_over"]


async def test_only_a_recent_encrypted_message_of_the_staff_room_is_a_command(desk: Desk) -> None:
    bot, ken = await the_bot(desk), await desk.staff("健")
    room = await invited(bot, ken)
    elsewhere = await ken.opens_a_room()
    outside = await ken.sends(elsewhere, "m.room.encrypted", ENCRYPTED)
    event = await ken.sends(room, "m.room.encrypted", ENCRYPTED)
    body = {"command": "help", "words": []}
    for wrong in (outside, "$no:" + SERVER_NAME):
        await refused(bot.post(ROOM + "/commands", body | {"event_id": wrong}), 403)
    await refused(ken.post(ROOM + "/commands", body | {"event_id": event}), 403)
    await ken.redacts(room, event)
    await refused(bot.post(ROOM + "/commands", body | {"event_id": event}), 403)
    for age_s, answered in ((11 * 60, True), (25 * 3600, False)):
        event = await ken.sends(room, "m.room.encrypted", ENCRYPTED)
        at = int((time.time() - age_s) * 1000)
        desk.workers.postgres.psql(f"UPDATE events SET at = {at} WHERE event_id = '{event}'", "madoguchi")
        answer = (await bot.post(ROOM + "/commands", body | {"event_id": event}))["answer"]
        assert ("時間がたった" in answer["ja"]) if answered else answer is None


async def test_all_staff_are_invited_those_disabled_removed_and_nobody_else_let_in(desk: Desk) -> None:
    bot, ken, sato = await the_bot(desk), await desk.staff("健"), await desk.staff("佐藤")
    administrator = await desk.administrator()
    room = await invited(bot, ken, sato)
    mio, _ = await desk.arrives()
    await refused(ken.invites(room, mio), 403)
    # The keeper is not in it: nothing of it goes into the vault.
    assert set((await ken.members(room)).keys()).isdisjoint({f"@keeper:{SERVER_NAME}", mio.user_id})
    assert room not in {seat["room_id"] for seat in (await queue(ken))["mine"]}
    await sato.leaves(room)
    assert sato.user_id not in (await bot.get(ROOM))["invitations"]
    await administrator.post(f"{DESK}/staff/{segment(ken.user_id)}/disable")
    wishes = await bot.get(ROOM)
    members = await bot.members(room)
    assert ken.user_id in wishes["removals"] or members[ken.user_id] == "leave"
    await administrator.put(DESK + "/settings/staff_room", {"value": False})
    try:
        assert (await bot.get(ROOM))["room_id"] is None
    finally:
        await administrator.put(DESK + "/settings/staff_room", {"value": True})


def test_what_is_a_command_and_how_little_of_it_leaves_the_bot() -> None:
    secret = secrets.token_hex(4)
    assert command_in(f"！ACCEPT　12 {secret}") == ("accept", ["12"])
    assert command_in(f"!risk 3 high {secret}") == ("risk", ["3", "high"])
    assert command_in(f"!acept 12 {secret}") == ("unknown", [])
    assert command_in("!handover 3 佐藤 勤務の 終わり") == ("handover", ["3", "佐藤", "勤務の", "終わり"])
    for plain in ("おつかれさま", "!", "!!", "! accept 3", "* !accept 3"):
        assert command_in(plain) is None
