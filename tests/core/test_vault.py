"""Sealing, shares and transcripts: what the vault's holders can open, and nobody else."""

import json
import random
from datetime import UTC
from typing import Any

import pytest
import vodozemac
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi.vault import sealing, shares, transcript
from madoguchi.vault.sealing import SessionSecret, WrongKey
from madoguchi.vault.shares import SharesProblem
from madoguchi.vault.transcript import Opened, as_text, entries

ROOM = "!r:x"


class Writer:
    """Somebody's outbound Megolm session."""

    def __init__(self) -> None:
        self.session = vodozemac.GroupSession()
        self.inbound = vodozemac.InboundGroupSession(self.session.session_key)
        self.count = 0

    def secret(self, first: int = 0) -> SessionSecret:
        exported = self.inbound.export_at(first)
        assert exported is not None
        return SessionSecret(ROOM, self.session.session_id, "c", "e", exported.to_base64(), first)

    def says(self, content: dict[str, Any], *, kind: str = "m.room.message", room: str = ROOM) -> dict[str, Any]:
        self.count += 1
        payload = json.dumps({"type": kind, "content": content, "room_id": room}).encode()
        return {
            "type": "m.room.encrypted",
            "event_id": f"${self.count}",
            "room_id": ROOM,
            "sender": "@mio:x",
            "origin_server_ts": 1_700_000_000_000 + self.count * 1000,
            "content": {
                "algorithm": "m.megolm.v1.aes-sha2",
                "session_id": self.session.session_id,
                "ciphertext": self.session.encrypt(payload).to_base64(),
            },
        }


# -- sealing -----------------------------------------------------------------------------------------------------------
def test_only_the_private_key_opens_a_sealed_session() -> None:
    private, other = sealing.make_private_key(), sealing.make_private_key()
    secret = Writer().secret()
    sealed = sealing.seal(sealing.public_of(private), secret)
    assert sealing.unseal(private, sealed) == secret
    assert secret.session_key.encode() not in sealed
    with pytest.raises(WrongKey):
        sealing.unseal(other, sealed)
    with pytest.raises(WrongKey):
        sealing.unseal(private, sealed[:-1] + bytes([sealed[-1] ^ 1]))


# -- shares ------------------------------------------------------------------------------------------------------------
@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n))), st.randoms(use_true_random=False))
def test_any_k_of_n_shares_give_the_key_again(numbers: tuple[int, int], dice: random.Random) -> None:
    count, threshold = numbers
    private = sealing.make_private_key()
    words = shares.split(private, count, threshold)
    assert len(words) == count
    chosen = dice.sample(words, threshold)
    assert shares.read("# a heading\n\n" + "\n".join(chosen).upper() + "\n") == private
    with pytest.raises(SharesProblem, match="needed"):
        shares.join(chosen[:-1])
    with pytest.raises(SharesProblem, match="needed"):
        shares.join([chosen[0]] * threshold)


def test_a_single_share_is_the_key_in_words() -> None:
    private = sealing.make_private_key()
    (words,) = shares.split(private, 1, 1)
    assert len(words.split()) == shares.WORDS
    assert shares.read(words) == private


def test_a_share_that_is_wrong_is_named() -> None:
    private = sealing.make_private_key()
    one, two, _ = shares.split(private, 3, 2)
    swapped = two.split()
    swapped[10], swapped[11] = swapped[11], swapped[10]
    with pytest.raises(SharesProblem, match="Line 2"):
        shares.join([one, " ".join(swapped)])
    with pytest.raises(SharesProblem, match="32 words"):
        shares.join([one, two.rsplit(" ", 1)[0]])
    with pytest.raises(SharesProblem, match="different keys"):
        shares.join([one, shares.split(sealing.make_private_key(), 3, 2)[0]])
    with pytest.raises(SharesProblem):
        shares.read("")
    with pytest.raises(SharesProblem):
        shares.read("c2hvcnQ=")


@pytest.mark.parametrize(("count", "threshold"), [(3, 4), (0, 0), (3, 1), (17, 2)])
def test_numbers_that_make_no_sense_are_refused(count: int, threshold: int) -> None:
    with pytest.raises(SharesProblem):
        shares.split(sealing.make_private_key(), count, threshold)


# -- transcripts -------------------------------------------------------------------------------------------------------
def test_a_conversation_is_read_in_order_with_names() -> None:
    mio = Writer()
    events = [
        {
            "type": "m.room.create",
            "event_id": "$c",
            "sender": "@keeper:x",
            "state_key": "",
            "content": {},
            "origin_server_ts": 1,
            "room_id": ROOM,
        },
        mio.says({"msgtype": "m.text", "body": "眠れない\nずっと"}),
        mio.says({"msgtype": "m.image", "body": "空.jpg"}),
        mio.says(
            {
                "body": "*",
                "m.new_content": {"body": "眠れます"},
                "m.relates_to": {"rel_type": "m.replace", "event_id": "$1"},
            }
        ),
        {
            "type": "m.room.encrypted",
            "event_id": "$r",
            "sender": "@mio:x",
            "content": {},
            "room_id": ROOM,
            "origin_server_ts": 1_700_000_004_000,
        },
        {
            "type": "m.room.member",
            "event_id": "$j",
            "sender": "@ken:x",
            "state_key": "@ken:x",
            "room_id": ROOM,
            "content": {"membership": "join"},
            "origin_server_ts": 1_700_000_005_000,
        },
    ]
    text = as_text(entries(events, Opened([mio.secret()])), {"@mio:x": "相談者", "@ken:x": "相談員 健"}, UTC)
    assert text.splitlines() == [
        "── 2023-11-14 UTC ──",
        "22:13:21  相談者: 眠れない",
        "          ずっと",
        "22:13:22  相談者: ［画像］空.jpg",
        "22:13:23  相談者: （22:13:21 を訂正）眠れます",
        "22:13:24  相談者: （取り消されました）",
        "22:13:25  相談員 健: （入室しました）",
    ]


def test_what_answers_reacts_or_takes_back_says_to_what_by_its_time() -> None:
    mio = Writer()
    asked = mio.says({"msgtype": "m.text", "body": "いつから?"})
    to = {"event_id": "$1"}
    events = [
        asked,
        mio.says({"msgtype": "m.text", "body": "きのう", "m.relates_to": {"m.in_reply_to": to}}),
        mio.says({"m.relates_to": {"rel_type": "m.annotation", "key": "🙏"} | to}, kind="m.reaction"),
        mio.says({"msgtype": "m.audio", "body": "voice", "m.relates_to": {"m.in_reply_to": {"event_id": "$gone"}}}),
        {**asked, "type": "m.room.redaction", "event_id": "$r", "content": {"redacts": "$1"}},
    ]
    events[-1]["origin_server_ts"] += 24 * 3_600_000
    text = as_text(entries(events, Opened([mio.secret()])), {"@mio:x": "相談者"}, UTC)
    assert [line for line in text.splitlines() if "──" not in line] == [
        "22:13:21  相談者: いつから?",
        "22:13:22  相談者: （22:13:21 への返事）きのう",
        "22:13:23  相談者: （22:13:21 へ 🙏）",
        "22:13:24  相談者: （$gone への返事）［音声］voice",
        "22:13:21  相談者: （2023-11-14 22:13:21 を取り消しました）",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "body",
        "msgtype",
        "m.relates_to",
        "m.new_content",
        "filename",
        "membership",
        "key",
        "event_id",
        "rel_type",
        "redacts",
        "state",
        "algorithm",
        "session_id",
        "ciphertext",
    ]
)
contents = st.dictionaries(names, json_values | st.sampled_from(["m.text", "m.image", "m.replace"]))
kinds = st.sampled_from(["m.room.message", "m.reaction", "m.sticker", "m.room.member", "m.room.redaction",
                         "jp.madoguchi.case", "m.room.encrypted", "odd"])  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(kinds, contents | json_values, st.booleans(), st.booleans()), max_size=5))
def test_whatever_somebody_sends_the_rest_can_be_read(sent: list[tuple[str, Any, bool, bool]]) -> None:
    mio = Writer()
    events = []
    for number, (kind, content, encrypted, state) in enumerate(sent):
        event = mio.says(content, kind=kind) if encrypted else {
            "type": kind, "content": content, "event_id": f"$p{number}", "room_id": ROOM, "sender": "@mio:x",
            "origin_server_ts": 1_700_000_000_000,
        }  # fmt: skip
        events.append(event | ({"state_key": "@mio:x"} if state and not encrypted else {}))
    events.append(mio.says({"msgtype": "m.text", "body": "眠れない"}))
    text = as_text(entries(events, Opened([mio.secret()])), {}, UTC)
    assert text.endswith("@mio:x: 眠れない\n")
    assert all(c.isprintable() or c in "\n\u200c\u200d" for c in text)


def test_a_terminal_obeys_nothing_that_was_said() -> None:
    mio = Writer()
    said = mio.says({"msgtype": "m.text", "body": "\x1b[2J\u202eあ\r12:00:00  相談員: うそ 👩\u200d👧"})
    text = as_text(entries([said], Opened([mio.secret()])), {}, UTC)
    assert text.splitlines()[1:] == [
        "22:13:21  @mio:x: \\u001b[2J\\u202eあ",
        "          12:00:00  相談員: うそ 👩\u200d👧",
    ]


def test_what_cannot_be_read_is_said_openly() -> None:
    mio, lost = Writer(), Writer()
    first, second = mio.says({"msgtype": "m.text", "body": "a"}), mio.says({"msgtype": "m.text", "body": "b"})
    unknown = lost.says({"msgtype": "m.text", "body": "c"})
    stolen = mio.says({"msgtype": "m.text", "body": "d"}, room="!other:x")
    broken = {**second, "event_id": "$x", "content": {**second["content"], "ciphertext": "!"}}
    again = {**second, "event_id": "$y"}
    strange = {**second, "event_id": "$z", "content": {"algorithm": "rot13"}}
    found = entries([first, second, unknown, stolen, broken, again, strange], Opened([mio.secret(first=1)]))
    assert [bool(entry.unreadable) for entry in found] == [True, False, True, True, True, True, True]
    assert found[1].text == "b"
    assert "保管庫にありません" in str(found[2].unreadable)
    assert "別の部屋" in str(found[3].unreadable)
    assert "繰り返し" in str(found[5].unreadable)
    assert "読めません" in transcript.as_text(found, {}, UTC)
