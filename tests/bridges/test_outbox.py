"""From the room to LINE: reply before push, once, in order, and the truth about it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi_bridges import store
from madoguchi_bridges.desk import Unreachable
from madoguchi_bridges.line import Line
from madoguchi_bridges.network import Outgoing, Ref, Rejected, TryAgain
from madoguchi_bridges.outbox import describe
from tests.bridges.conftest import KEY
from tests.bridges.parts import Bench, a_bench, calm
from tests.postgres import dump
from tests.search import words_in
from tests.standins.line import LinePerson
from tests.words import word


async def in_conversation(bench: Bench, *, fresh: bool) -> LinePerson:
    """Somebody with a running case; `fresh`: their reply token can still be used."""
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    if not fresh:
        bench.tokens._tokens.clear()
    return mio


def pushes(bench: Bench) -> list[str]:
    return [r.headers["X-Line-Retry-Key"] for r in bench.line.requests if r.path.endswith("/push")]


async def test_the_first_answer_is_a_reply_and_the_second_a_push(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=True)
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.counsellor_says("いつから？", "$2")
    await bench.works()
    assert [(bubble.text, bubble.via) for bubble in bench.line.phones] == [
        ("聞いているよ", "reply"),
        ("いつから？", "push"),
    ]
    assert mio.phone == ["聞いているよ", "いつから？"]
    assert bench.told == [("$1", "accepted"), ("$2", "accepted")]


async def test_a_reply_token_that_line_takes_no_longer_becomes_a_push(bench: Bench) -> None:
    await in_conversation(bench, fresh=True)
    bench.line.reply_token_seconds = -1
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.works()
    assert [bubble.via for bubble in bench.line.phones] == ["push"]


async def test_an_old_reply_token_is_not_even_tried(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=True)
    ((person, ((born, token),)),) = bench.tokens._tokens.items()
    bench.tokens._tokens[person] = [(born - 51, token)]
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.works()
    assert [request.path for request in bench.line.requests] == ["/v2/bot/message/push"]
    assert mio.phone == ["聞いているよ"]


async def test_a_token_that_grew_old_over_a_failure_is_not_taken_for_one_that_was_used(bench: Bench) -> None:
    """LINE says the same of both; the message would be lost."""
    mio = await in_conversation(bench, fresh=True)
    ((person, ((born, token),)),) = bench.tokens._tokens.items()
    bench.tokens._tokens[person] = [(born - 49.5, token)]
    await bench.counsellor_says("聞いているよ", "$1")
    bench.line.fails(1, 503)
    (waiting,) = await bench.outbox._list_ready()
    await bench.outbox.work_off(waiting)
    assert mio.phone == []
    bench.line.reply_token_seconds = -1
    await asyncio.sleep(0.6)
    await bench.works()
    assert [(bubble.text, bubble.via) for bubble in bench.line.phones] == [("聞いているよ", "push")]


@pytest.mark.parametrize("fresh", [True, False])
async def test_trouble_at_line_is_outlasted_and_told(bench: Bench, fresh: bool) -> None:
    mio = await in_conversation(bench, fresh=fresh)
    bench.line.fails(4, 503)
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.counsellor_says("いつから？", "$2")
    await bench.works()
    assert mio.phone == ["聞いているよ", "いつから？"]
    assert bench.told == [("$1", "delayed"), ("$1", "accepted"), ("$2", "accepted")]


@pytest.mark.parametrize("fresh", [True, False])
async def test_an_answer_that_gets_lost_doubles_nothing(bench: Bench, fresh: bool) -> None:
    mio = await in_conversation(bench, fresh=fresh)
    bench.line.loses_answers(1)
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.works()
    assert mio.phone == ["聞いているよ"]
    assert bench.told == [("$1", "accepted")]
    assert len(bench.line.requests) == 2


async def test_the_retry_key_is_a_uuid_of_the_event_and_the_same_in_every_attempt(bench: Bench) -> None:
    await in_conversation(bench, fresh=False)
    bench.line.fails(2)
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.counsellor_says("聞いているよ", "$2")
    await bench.works()
    keys = pushes(bench)
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert str(UUID(keys[0])) == keys[0]
    assert keys[0] == str(bench.outbox.retry_key("$1", 0))


async def test_the_same_event_heard_twice_leaves_once(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=False)
    for _ in range(3):
        await bench.counsellor_says("聞いているよ", "$1")
        await bench.works()
    assert mio.phone == ["聞いているよ"]


async def test_long_words_go_in_parts_of_five_thousand_and_five_to_a_request(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=False)
    text = "あ😢" * 10_000  # 30,000 units
    await bench.counsellor_says(text, "$1")
    bench.line.fails(1)
    await bench.works()
    assert "".join(mio.phone) == text
    assert len(mio.phone) == 7  # 4,999 units each: no emoji is cut
    assert len(set(pushes(bench))) == 2


async def test_a_restart_between_two_requests_sends_only_the_rest(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=False)
    text = "あ" * 30_000
    real = bench.channels.get("line-1").network.send  # type: ignore[union-attr]
    count = 0

    async def dies_at_the_second(outgoing: Outgoing) -> Sequence[Ref]:
        nonlocal count
        count += 1
        refs = await real(outgoing)
        if count == 2:
            raise asyncio.CancelledError
        return refs

    network = bench.channels.get("line-1").network  # type: ignore[union-attr]
    network.send = dies_at_the_second  # type: ignore[method-assign]
    await bench.counsellor_says(text, "$1")
    with pytest.raises(asyncio.CancelledError):
        await bench.works()
    await bench.works()
    assert "".join(mio.phone) == text
    assert bench.told == [("$1", "accepted")]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "invalid"), (401, "unauthorized"), (403, "refused"), (404, "unknown_person"), (429, "quota")],
)
async def test_a_refusal_is_final_and_the_next_message_goes_on(bench: Bench, status: int, outcome: str) -> None:
    mio = await in_conversation(bench, fresh=False)
    bench.line.fails(1, status, "You have reached your monthly limit." if status == 429 else "trouble")
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.counsellor_says("いつから？", "$2")
    await bench.works()
    assert bench.told == [("$1", outcome), ("$2", "accepted")]
    assert mio.phone == ["いつから？"]


async def test_what_can_not_go_is_told_in_its_turn(bench: Bench) -> None:
    await in_conversation(bench, fresh=False)
    await bench.counsellor_says("", "$1", refuse="kind")
    await bench.works()
    assert bench.told == [("$1", "kind")]
    assert bench.line.requests == []


async def test_a_room_that_could_not_be_told_is_told_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_conversation(bench, fresh=False)
    monkeypatch.setattr("madoguchi_bridges.outbox.TELL_AGAIN_SECONDS", 0)
    tell, failures = bench.outbox.tell, 3

    async def fails_at_first(item: store.Leaving, outcome: str) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise Unreachable
        assert tell is not None
        await tell(item, outcome)

    bench.outbox.tell = fails_at_first
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.counsellor_says("いつから？", "$2")
    await bench.works()
    assert bench.told == [("$1", "accepted"), ("$2", "accepted")]


async def test_no_word_that_waits_or_has_left_can_be_read_in_the_database(bench: Bench, bridges_database: str) -> None:
    mio = await in_conversation(bench, fresh=True)
    said = word("聞いているよ")
    await bench.counsellor_says(said, "$1")
    assert words_in(dump(bridges_database)) == set()
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_outbox WHERE sealed IS NOT NULL") == 1
    await bench.works()
    assert mio.phone == [said]
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_outbox WHERE sealed IS NOT NULL") == 0


async def test_after_a_day_line_would_not_know_a_repetition_so_it_has_failed(bench: Bench) -> None:
    mio = await in_conversation(bench, fresh=False)
    bench.line.fails(1)
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.pool.execute("UPDATE bridge_outbox SET created_at = created_at - 24 * 3600000")
    await bench.works()
    assert (bench.told, mio.phone) == ([("$1", "no_answer")], [])


async def test_stateless_tokens_are_taken_out_and_renewed(bench: Bench) -> None:
    secrets = {"channel_secret": bench.line.channel_secret, "channel_id": bench.line.client_id}
    line = Line(secrets, bench.line.base_url, bench.line.base_url)
    outgoing = Outgoing(to="U" + "0" * 32, texts=("a",), retry_key=UUID(int=1))
    await line.send(outgoing)
    await line.send(outgoing)  # 409: accepted before
    assert len(bench.line.stateless_tokens) == 1
    line._renew_at = 0
    await line.send(outgoing)
    assert len(bench.line.stateless_tokens) == 2
    await line.close()
    wrong = Line(secrets | {"channel_id": "0"}, bench.line.base_url, bench.line.base_url)
    with pytest.raises(Rejected):
        await wrong.send(outgoing)
    away = Line(secrets, "http://127.0.0.1:1", "http://127.0.0.1:1")
    with pytest.raises(TryAgain):
        await away.send(outgoing)


def test_the_counsellor_is_told_in_words_only_when_something_is_wrong() -> None:
    item = store.Leaving(channel_id="line-1", person="p", event_key="$1", room_id="!r", created_at=0)
    content, words = describe(item, "accepted", "LINE")
    assert (content["state"], words) == ("accepted", "")
    assert content["m.relates_to"] == {"rel_type": "m.reference", "event_id": "$1"}
    for outcome, state in (("quota", "failed"), ("maybe_blocked", "maybe_blocked"), ("delayed", "delayed")):
        content, words = describe(item, outcome, "LINE")
        assert content["state"] == state
        assert "LINE" in words


@settings(calm, max_examples=20)
@given(
    st.lists(st.sampled_from(["answers", "fails", "loses"]), max_size=12),
    st.lists(st.sampled_from(["short", "long"]), min_size=1, max_size=4),
    st.integers(0, 4),
)
def test_whatever_happens_to_requests_each_message_arrives_once_and_in_order(
    bridges_database: str, tmp_path: Path, fates: list[str], lengths: list[str], tokens: int
) -> None:
    messages = [f"{number}" * (1 if length == "short" else 26_000) for number, length in enumerate(lengths)]

    async def play() -> None:
        async with a_bench(bridges_database, KEY, tmp_path) as bench:
            mio = bench.line.person()
            for _ in range(tokens + 1):
                await mio.says("眠れない")
            await bench.works()
            network = bench.channels.get("line-1").network  # type: ignore[union-attr]
            real, left = network.send, list(fates)

            async def fated(outgoing: Outgoing) -> Any:
                match left.pop(0) if left else "answers":
                    case "fails":
                        raise TryAgain
                    case "loses":
                        await real(outgoing)
                        raise TryAgain
                    case _:
                        return await real(outgoing)

            network.send = fated  # type: ignore[method-assign]
            for number, message in enumerate(messages):
                await bench.counsellor_says(message, f"${number}")
            await bench.works()
            assert "".join(mio.phone) == "".join(messages)
            accepted = [event_id for event_id, outcome in bench.told if outcome == "accepted"]
            assert accepted == [f"${number}" for number in range(len(messages))]

    asyncio.run(play())
