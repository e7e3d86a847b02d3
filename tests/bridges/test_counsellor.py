"""What a counsellor says in the room, heard by the ghost; and what became of it, told in the room."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from nio import MegolmEvent

from madoguchi_bridges import counsellor as module
from madoguchi_bridges import store
from madoguchi_bridges.counsellor import Counsellor, KeyMissing
from tests.bridges.parts import Bench, Json


@dataclass
class Heard:
    """An event as the ghost's device gives it."""

    source: Json
    sender: str = "@ken:desk.test"
    decrypted: bool = True
    server_timestamp: int = 10

    @property
    def event_id(self) -> str:
        return str(self.source["event_id"])


@dataclass
class Ear:
    """The part of a ghost that hears."""

    person: str
    channel_id: str = "line-1"
    user_id: str = "@line_x:desk.test"
    is_new: bool = False
    said_soon: list[str] = field(default_factory=list)

    def say_soon(self, room_id: str, content: Json, txn_id: str) -> None:
        self.said_soon.append(content["body"])


@dataclass
class Scene:
    bench: Bench
    counsellor: Counsellor
    ear: Ear
    room_id: str

    async def hears(self, event_id: str, text: str, **more: Any) -> None:
        content = {"msgtype": "m.text", "body": text}
        source = {"type": "m.room.message", "event_id": event_id, "content": content} | more.pop("source", {})
        await self.counsellor.heard(self.ear, self.room_id, Heard(source, **more))  # type: ignore[arg-type]

    async def hears_redaction(self, redacted: str, event_id: str = "$r", **more: Any) -> None:
        await self.hears(event_id, "", source={"type": "m.room.redaction", "content": {"redacts": redacted} | more})

    async def hears_reaction(self, event_id: str, emoji: str, about: str, **more: Any) -> None:
        source = {"type": "m.reaction", "content": relates("m.annotation", about, key=emoji)}
        await self.hears(event_id, "", source=source, **more)

    async def taken_back(self, reaction: str) -> None:
        """As the server says it of what stood quietly beside its ciphertext."""
        await self.hears_redaction(reaction, f"$r{reaction}", **{"jp.madoguchi.quiet": True})
        await self.bench.works()

    def told_under(self, event_id: str) -> list[str]:
        """What the counsellor reads under a message."""
        under = {"m.in_reply_to": {"event_id": event_id}}
        return [content["body"] for _, _, content in self.bench.ghosts.room().said.values()
                if content.get("m.relates_to") == under]  # fmt: skip

    @property
    def phone(self) -> list[str]:
        return [bubble.text for bubble in self.bench.line.phones]


@pytest.fixture
async def scene(bench: Bench) -> Scene:
    await bench.line.person().says("眠れない")
    return await in_a_room(bench)


async def in_a_room(bench: Bench) -> Scene:
    await bench.works()
    (person,) = await store.list_present(bench.pool)
    counsellor = Counsellor(bench.pool, bench.config, bench.channels, bench.outbox)
    counsellor.ghosts = bench.ghosts  # type: ignore[assignment]
    bench.outbox.tell = counsellor.tell
    counsellor.moves = bench.moves
    return Scene(bench, counsellor, Ear(person.person, person.channel_id), person.room_id or "")


async def test_words_go_out_once_however_often_the_sync_comes(scene: Scene) -> None:
    for _ in range(3):
        await scene.hears("$1", "聞いているよ")
    await scene.bench.works()
    assert scene.phone == ["聞いているよ"]
    assert [told["state"] for told in scene.bench.ghosts.room().told()] == ["accepted"]


async def test_the_keeper_s_words_stay_in_the_room(scene: Scene) -> None:
    await scene.hears("$1", "記録しています", sender="@keeper:desk.test")
    await scene.bench.works()
    assert scene.phone == []


async def test_words_that_were_not_encrypted_go_nowhere(scene: Scene) -> None:
    await scene.hears("$1", "住所を教えて", decrypted=False)
    await scene.bench.works()
    assert scene.phone == []


async def test_what_is_said_in_another_room_goes_nowhere(scene: Scene) -> None:
    scene.room_id = "!elsewhere:desk.test"
    await scene.hears("$1", "住所を教えて")
    await scene.bench.works()
    assert scene.phone == []


async def test_a_failure_is_told_under_the_message_where_every_client_shows_it(scene: Scene) -> None:
    scene.bench.line.out_of_quota = True
    scene.bench.tokens._tokens.clear()
    await scene.hears("$1", "聞いているよ")
    await scene.bench.works()
    (_, kind, content) = list(scene.bench.ghosts.room().said.values())[-1]
    assert (kind, content["msgtype"]) == ("m.room.message", "m.notice")
    assert content["m.relates_to"] == {"m.in_reply_to": {"event_id": "$1"}}
    assert content["jp.madoguchi.delivery"]["reason"] == "quota"


@pytest.mark.parametrize(("blocks", "why"), [(False, "使い切りました"), (True, "ブロックしています")])
async def test_where_only_news_goes_out_and_can_not_the_counsellor_is_told(
    scene: Scene, blocks: bool, why: str
) -> None:
    bench = scene.bench
    await bench.sets("contact_point", None)
    bench.tokens._tokens.clear()
    bench.line.out_of_quota = not blocks
    if blocks:
        await bench.pool.execute("UPDATE bridge_people SET left_at = 1")
    await scene.hears("$1", "聞いているよ")
    await bench.works()
    (_, _, told) = list(bench.ghosts.room().said.values())[-1]
    assert "「新しいお知らせがあります」も届いていません" in told["body"] and why in told["body"]
    assert told["m.relates_to"] == {"m.in_reply_to": {"event_id": "$1"}}
    assert not any("聞いているよ" in text for text in scene.phone)


async def test_what_is_taken_back_in_time_never_leaves(scene: Scene) -> None:
    await scene.hears("$1", "やっぱり")
    await scene.hears_redaction("$1")
    await scene.bench.works()
    assert (scene.phone, scene.ear.said_soon) == ([], [])


async def test_what_is_taken_back_too_late_is_said_so(scene: Scene) -> None:
    await scene.hears("$1", "やっぱり")
    await scene.bench.works()
    await scene.hears_redaction("$1")
    await scene.hears_redaction("$unknown")
    assert scene.phone == ["やっぱり"]
    assert scene.ear.said_soon == ["LINEに送ったものは、LINEの画面からは消せません。"]


def relates(rel_type: str | None = None, about: str = "$1", **more: Any) -> Json:
    relation = {"rel_type": rel_type, "event_id": about} if rel_type else {"m.in_reply_to": {"event_id": about}}
    return {"m.relates_to": relation | more}


async def test_an_answer_and_a_correction_go_out_as_plain_words(scene: Scene) -> None:
    def said(event_id: str, content: Json) -> Json:
        return {"source": {"type": "m.room.message", "event_id": event_id, "content": {"msgtype": "m.text"} | content}}

    await scene.hears("$1", "", **said("$1", {"body": "きょうは?"} | relates(about="$0")))
    new = {"msgtype": "m.text", "body": "きのうは?"}
    await scene.hears("$2", "", **said("$2", {"body": "* きのうは?", "m.new_content": new} | relates("m.replace")))
    await scene.bench.works()
    assert scene.phone == ["きょうは?", "（訂正）きのうは?"]
    # The message and its correction are taken back together, and that is told once.
    await scene.hears("$r1", "", source={"type": "m.room.redaction", "content": {"redacts": "$1"}})
    quiet = {"redacts": "$2", "jp.madoguchi.quiet": True}
    await scene.hears("$r2", "", source={"type": "m.room.redaction", "content": quiet})
    assert scene.ear.said_soon == ["LINEに送ったものは、LINEの画面からは消せません。"]


async def test_a_reaction_that_the_app_can_not_carry_is_told_under_its_message(scene: Scene) -> None:
    (said, *_), *_ = scene.bench.ghosts.room().said.values()
    await scene.hears_reaction("$1", "👍", said)
    await scene.bench.works()
    await scene.taken_back("$1")
    assert (scene.phone, scene.ear.said_soon) == ([], [])
    assert scene.told_under(said) == ["⚠ 反応はLINEでは見えません: LINEには反応を送れません。"]


async def test_a_reaction_stands_on_the_phone_one_at_a_time_until_it_is_taken_back(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    first, second = await mio.says("眠れた"), await mio.says("少しだけ")
    scene = await in_a_room(bench)
    said, then = [event_id for event_id, *_ in bench.ghosts.room().said.values()]
    bench.telegram.fails(502)
    for _ in range(3):
        await scene.hears_reaction("$heart", "❤️", said)
    await scene.hears_reaction("$hug", "🤗", then)
    await bench.works()
    assert (mio.reactions(first), mio.reactions(second), mio.phone) == (["❤"], ["🤗"], [])
    assert [told["state"] for told in bench.ghosts.room().told()] == ["accepted", "accepted"]
    assert scene.told_under(said) == []
    # A second one takes its place, and taking back the first is then nothing to do.
    await scene.hears_reaction("$yes", "👍", said)
    await bench.works()
    assert "前の反応は、いまの反応に替わりました" in scene.told_under(said)[-1]
    await scene.taken_back("$heart")
    assert mio.reactions(first) == ["👍"]
    await scene.taken_back("$yes")
    assert (mio.reactions(first), mio.reactions(second)) == ([], ["🤗"])
    # It is free again; and what is taken back before it left never leaves.
    await scene.hears_reaction("$again", "❤️", said)
    await bench.works()
    await scene.hears_reaction("$never", "😢", said)
    await scene.taken_back("$never")
    assert mio.reactions(first) == ["❤"]
    # By a client that puts no mark beside the ciphertext, too; and where no content is carried any more.
    await bench.pool.execute("UPDATE channels SET mode = 'closed' WHERE kind = 'telegram'")
    await bench.channels.read()
    await scene.hears_redaction("$again")
    await bench.works()
    bench.telegram.fails(400, "Bad Request: message to react not found")
    await scene.taken_back("$hug")
    assert (mio.reactions(first), mio.reactions(second), mio.phone) == ([], ["🤗"], [])
    assert len(scene.told_under(said)) == 1
    assert scene.told_under("$r$hug") == ["Telegramに送ったものは、Telegramの画面からは消せません。"]
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_outbox WHERE sealed IS NOT NULL") == 0


async def test_a_reaction_that_nobody_sees_is_told_and_a_quiet_correction_is_not(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    first = await mio.says("眠れた")
    scene = await in_a_room(bench)
    ((said, *_),) = bench.ghosts.room().said.values()
    await scene.hears_reaction("$moon", "🌙", said)
    await scene.hears_reaction("$clear", "❤️", said, decrypted=False)
    await scene.hears_reaction("$before", "❤️", "$before the move")
    await bench.works()
    assert not [method for method, _ in bench.telegram.calls if method == "setMessageReaction"]
    bench.telegram.fails(400, "Bad Request: REACTION_INVALID")
    await scene.hears_reaction("$refused", "❤️", said)
    await bench.works()
    bench.telegram.blocked_by.add(mio.user_id)
    await scene.hears_reaction("$blocked", "❤️", said)
    await bench.works()
    bench.telegram.blocked_by.clear()
    whys = ("使えない絵文字", "暗号を開けません", "受け付けませんでした", "ブロックしています")
    for line, why in zip(scene.told_under(said), whys, strict=True):
        assert line.startswith("⚠ 反応はTelegramでは見えません: ") and why in line
    assert "会話にないメッセージ" in scene.told_under("$before the move")[0]

    await scene.hears("$word", "よかった")
    new = {"msgtype": "m.text", "body": "よかったね"}
    content = {"msgtype": "m.text", "body": "* よかったね", "m.new_content": new} | relates("m.replace", "$word")
    await scene.hears("$new", "", source={"content": content})
    await bench.works()
    told = len(bench.ghosts.room().said)
    await scene.taken_back("$new")
    assert (mio.phone, len(bench.ghosts.room().said)) == (["よかったね"], told)

    # A contact point carries no reaction, and no news that there is one; on the page it is seen.
    await bench.pool.execute("UPDATE channels SET mode = 'contact_point' WHERE kind = 'telegram'")
    await bench.channels.read()
    await scene.hears_reaction("$page", "❤️", said)
    await bench.works()
    assert scene.told_under(said)[-1] == "💬 反応はTelegramには出ません。相手がページを開くと見えます。"
    assert (mio.reactions(first), mio.phone) == ([], ["よかったね"])


def locked(event_id: str) -> MegolmEvent:
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "sender_key": "k",
               "device_id": "D"}  # fmt: skip
    source = {"type": "m.room.encrypted", "event_id": event_id, "sender": "@ken:desk.test", "origin_server_ts": 1}
    return MegolmEvent.from_dict(source | {"content": content})


async def test_words_whose_key_is_late_are_waited_for_and_then_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = locked("$1")
    for _ in range(3):
        with pytest.raises(KeyMissing):
            await scene.counsellor.heard(scene.ear, scene.room_id, event)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "KEY_SECONDS", 0.0)
    await scene.counsellor.heard(scene.ear, scene.room_id, event)  # type: ignore[arg-type]
    await scene.bench.works()
    assert "暗号を開けませんでした" in scene.bench.ghosts.room().bodies()[-1]


async def test_a_new_device_does_not_stumble_over_what_was_said_before_it(scene: Scene) -> None:
    scene.ear.is_new = True
    await scene.counsellor.heard(scene.ear, scene.room_id, locked("$1"))  # type: ignore[arg-type]
    await scene.bench.works()
    assert scene.bench.ghosts.room().bodies() == ["眠れない"]


async def test_during_a_move_either_ghost_hears_for_the_phone_where_the_person_is_now(scene: Scene) -> None:
    bench = scene.bench
    await bench.opens_telegram()
    there = bench.telegram.person()
    await there.says("こんにちは")
    await bench.works()
    (before,) = [each for each in await store.list_present(bench.pool) if each.channel_id == "line-1"]
    (person,) = [each for each in await store.list_present(bench.pool) if each.channel_id == "telegram-1"]
    await store.update_person(bench.pool, before.person, case_id=None)
    await store.update_person(bench.pool, person.person, case_id=before.case_id, room_id=before.room_id, since=10)
    new = Scene(bench, scene.counsellor, Ear(person.person, "telegram-1"), scene.room_id)
    # Between the two the new ghost is told nothing that it could read: the one before has it in the outbox already.
    await scene.hears("$gap", "聞いているよ")
    unread = MegolmEvent.parse_encrypted_event(
        {"type": "m.room.encrypted", "event_id": "$gap", "sender": "@ken:desk.test", "origin_server_ts": 10,
         "content": {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}}
    )  # fmt: skip
    await scene.counsellor.heard(new.ear, scene.room_id, unread)  # type: ignore[arg-type]
    # Both are in the room for a moment. And what was said before the move stays where it was said.
    for _ in range(2):
        await scene.hears("$both", "どちらも")
        await new.hears("$both", "どちらも")
    await new.hears("$old", "前の話", server_timestamp=9)
    # What the app before was given can't be quoted, corrected or taken back by the new one.
    await new.hears_redaction("$old")
    await bench.works()
    assert there.phone == ["聞いているよ", "どちらも"] and scene.phone == []
    # Out of the room, it hears for nobody.
    await store.leave_room(bench.pool, before.person, scene.room_id)
    assert [each.person for each in await store.list_present(bench.pool)] == [person.person]
