"""A young person on Telegram and a counsellor talk, by the framework that carries LINE: one command connects them."""

from tests.standins.counsellor import CounsellorClient
from tests.standins.telegram import TelegramStandin
from tests.stories.conftest import Setting
from tests.words import secret, word


async def test_telegram_is_connected_by_one_command_and_words_go_both_ways(
    setting: Setting, ken: CounsellorClient
) -> None:
    telegram = TelegramStandin()
    await telegram.start(setting.telegram_port)
    try:
        reason = ("--mode", "relay", "--reason", "exercise of the tests")
        told = setting.channel(
            "add", "telegram", *reason, TELEGRAM_BOT_TOKEN=secret(telegram.token, "Telegram's token")
        )
        assert told == "channel telegram: telegram, relay, Telegram\n"
        waiting = {case["case_id"] for case in (await ken.queue())["waiting"]}
        mio = telegram.person()
        first, drawing = word("眠れない"), word("絵").encode() * 50
        said = await mio.says(first)
        await mio.sends_file("photo", drawing, file={"width": 8, "height": 8})
        case_id = await ken.waits_for_a_case(among=waiting)
        room = await ken.accepts(case_id)
        await ken.reads_history(room)
        await ken.sees(room, first)
        picture = await ken.waits_for(room, lambda e: e["content"].get("msgtype") == "m.image", what="the picture")
        assert await ken.opens(picture["content"]) == drawing

        answer, corrected = word("いつから？"), word("いつ頃から？")
        sent = await ken.says(room, answer)
        bubble = await mio.hears(answer)
        new = {"msgtype": "m.text", "body": corrected}
        relation = {"rel_type": "m.replace", "event_id": sent}
        await ken.sends(room, {"msgtype": "m.text", "body": corrected, "m.new_content": new, "m.relates_to": relation})
        assert (await mio.hears(corrected)).message_id == bubble.message_id
        last = word("昨日は眠れた")
        await mio.edits(said, text=last)
        await ken.waits_for(room, lambda e: e["content"].get("m.new_content", {}).get("body") == last, what="the edit")
        await ken.sends(room, await ken.encloses(room, drawing, "image/jpeg"))
        assert (await mio.hears("photo")).content == drawing
        told = setting.house.run("doctor").stdout
        assert "ledger     telegram: 3 in = 3 shown" in told
    finally:
        await telegram.stop()
