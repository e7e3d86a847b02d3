"""Risk words: a list to begin with, which administrators make their own; staff alone read it."""

import re
import unicodedata

import msgspec

from tests.cast import DESK, Json, refused
from tests.desk.conftest import Desk

WORDS = DESK + "/risk_words"


def plain(text: str) -> str:
    """As the browsers compare: one width, one kana, small letters."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub("[ァ-ヶ]", lambda letter: chr(ord(letter[0]) - 0x60), text).replace("ー", "")


async def test_the_list_to_begin_with_is_whole(desk: Desk) -> None:
    words: list[Json] = (await (await desk.staff("健")).get(WORDS))["words"]
    assert {(word["level"], word["language"]) for word in words} == {
        (level, language) for level in ("watch", "high", "urgent") for language in ("ja", "en")
    }
    texts = [word["text"] for word in words]
    assert {"死にたい", "遺書", "OD", "don't want to live"} <= set(texts)
    assert all(text == text.strip() and len(plain(text)) > 1 for text in texts)
    assert len({plain(text) for text in texts}) == len(texts)


async def test_an_administrator_makes_the_list_the_desks_own(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    before = await admin.get(WORDS)
    try:
        words = [{"level": "urgent", "language": "ja", "text": " 合　言葉 "}, *before["words"][1:]]
        changed = await admin.put(WORDS, {"revision": before["revision"], "words": words})
        assert changed["words"][0] == {"level": "urgent", "language": "ja", "text": "合 言葉"}
        assert await ken.get(WORDS) == changed
        # Of two who change it at the same time the second is told.
        await refused(admin.put(WORDS, {"revision": before["revision"], "words": []}), 409, "M_CONFLICT")
        assert await ken.get(WORDS) == changed
        [entry] = (await admin.get(DESK + "/audit?limit=1"))["entries"]
        detail = msgspec.json.decode(entry["detail"])
        assert (entry["act"], detail["added"]) == ("risk_words.changed", ["urgent: 合 言葉"])
        assert detail["removed"] == [f"{before['words'][0]['level']}: {before['words'][0]['text']}"]
    finally:
        now = await admin.get(WORDS)
        await admin.put(WORDS, {"revision": now["revision"], "words": before["words"]})
    assert await admin.get(WORDS) == before


async def test_what_makes_no_sense_is_refused_and_changes_nothing(desk: Desk) -> None:
    admin = await desk.administrator()
    before = await admin.get(WORDS)
    word = {"level": "high", "language": "ja", "text": "ふたつ"}
    for words in (
        [word, word | {"text": "ふたつ", "level": "watch"}],
        [word | {"language": "en", "text": "OD"}, word | {"text": "ｏｄ"}],
        [word | {"text": " "}],
        [word | {"text": "死"}],
        [word | {"text": "x" * 61}],
        [word | {"text": "ab\x00cd"}],
        [word | {"level": "none"}],
        [word | {"language": "fr"}],
        [{"text": "x"}],
        [word] * 2001,
    ):
        told = await refused(admin.put(WORDS, {"revision": before["revision"], "words": words}), 400)
        assert told.errcode in ("M_INVALID_PARAM", "M_BAD_JSON", "M_MISSING_PARAM")
    assert await admin.get(WORDS) == before
