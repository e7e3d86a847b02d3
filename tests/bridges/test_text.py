"""Long words in parts that an app takes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from madoguchi_bridges.counsellor import letter_of
from madoguchi_bridges.outbox import Letter
from madoguchi_bridges.text import GRAPHEME, clean, split, units
from tests.bridges.parts import calm

TEXT = st.text(st.characters(), max_size=200)


@calm
@given(TEXT, st.integers(2, 50))
def test_nothing_is_lost_and_no_part_is_too_long_or_empty(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert "".join(parts) == text
    assert all(0 < units(part) <= limit for part in parts)


@calm
@given(st.text(st.sampled_from("あ。\na🇯🇵👨\u200d👩か\u3099각क्षि\r 🏽"), max_size=80), st.integers(20, 50))
def test_no_cut_falls_inside_what_is_seen_as_one_character(text: str, limit: int) -> None:
    whole = GRAPHEME.findall(text)
    if all(units(each) <= limit for each in whole):
        assert [each for part in split(text, limit) for each in GRAPHEME.findall(part)] == whole


@calm
@given(TEXT)
def test_units_are_those_of_utf_16(text: str) -> None:
    assert units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@calm
@given(TEXT)
def test_what_is_clean_can_be_encoded_and_stays_as_it_was(text: str) -> None:
    clean(text).encode()
    assert clean(clean(text)) == clean(text)


def test_a_pair_of_surrogates_is_the_character_it_means() -> None:
    assert clean("\ud83d\ude22") == "😢"
    assert clean("a\ud83d") == "a\ufffd"


def test_cuts_fall_where_people_pause() -> None:
    sentence = "今日は学校に行けた。" * 3
    assert split(sentence, 12) == ["今日は学校に行けた。"] * 3
    assert split("one two three four", 10) == ["one two ", "three four"]


def test_what_is_seen_as_one_character_stays_one() -> None:
    family = "👨‍👩‍👧‍👦"
    assert split("ああああああ" + family, units(family) + 4) == ["ああああああ", family]
    assert split("ab🇯🇵", 5) == ["ab", "🇯🇵"]
    assert split("か" * 4 + "か\u3099", 5) == ["か" * 4, "か\u3099"]
    england, korean, hindi = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "각", "क्षि"
    for one in (england, korean, hindi, "🇯🇵", "\r\n"):
        assert split("a" + one, units(one)) == ["a", one]
    # Flags are pairs, however many stand side by side.
    assert split("🇯🇵🇰🇷🇹🇭", 8) == ["🇯🇵🇰🇷", "🇹🇭"]
    # A sequence longer than a part has to be cut all the same.
    assert "".join(split(family * 3, 4)) == family * 3


def test_exactly_line_s_limit_is_one_part() -> None:
    assert [units(part) for part in split("😢" * 2500, 5000)] == [5000]
    assert [units(part) for part in split("😢" * 2501, 5000)] == [5000, 2]


def words_of(content: dict[str, Any]) -> str:
    letter = letter_of({"type": "m.room.message", "content": content})
    assert letter is not None
    return letter.text


def test_an_answer_goes_out_without_the_quotation_of_older_clients() -> None:
    relates = {"m.in_reply_to": {"event_id": "$before"}}
    body = "> <@mio:x> 眠れない\n> つらい\n\nそうなんだね"
    assert words_of({"msgtype": "m.text", "body": body, "m.relates_to": relates}) == "そうなんだね"
    assert words_of({"msgtype": "m.text", "body": "> 引用から始まる言葉"}) == "> 引用から始まる言葉"


def test_an_edit_goes_out_as_a_correction() -> None:
    new = {"msgtype": "m.text", "body": "正しくは木曜"}
    relates = {"rel_type": "m.replace", "event_id": "$before"}
    content = {"msgtype": "m.text", "body": "* 正しくは木曜", "m.new_content": new, "m.relates_to": relates}
    letter = letter_of({"type": "m.room.message", "content": content})
    assert letter == Letter(text="正しくは木曜", corrects="$before")


def test_a_place_goes_out_in_words() -> None:
    content = {"msgtype": "m.location", "body": "相談室", "geo_uri": "geo:35.6812,139.7671;u=10"}
    assert letter_of({"type": "m.room.message", "content": content}) == Letter(
        text="位置情報: 相談室（35.6812, 139.7671）"
    )
    assert letter_of({"type": "m.room.message", "content": content | {"geo_uri": "geo:here"}}) == Letter(refuse="kind")


def test_a_reaction_is_its_emoji_and_what_it_is_on() -> None:
    relation: dict[str, Any] = {"rel_type": "m.annotation", "event_id": "$1", "key": "👍"}
    source = {"type": "m.reaction", "content": {"m.relates_to": relation}}
    assert letter_of(source) == Letter("👍", reacts="$1")
    for bad in ({"key": None}, {"event_id": 1}, {"rel_type": "m.replace"}):
        assert letter_of({"type": "m.reaction", "content": {"m.relates_to": relation | bad}}) is None


def test_what_can_not_go_is_refused_aloud_and_what_concerns_nobody_is_left() -> None:
    refused = Letter(refuse="kind")
    for content in ({"msgtype": "m.image", "body": "cat.png"}, {"msgtype": 3, "body": "a"}, {"body": ["a"]}):
        assert letter_of({"type": "m.room.message", "content": content}) == refused
    assert letter_of({"type": "m.sticker", "content": {}}) == refused
    for source in ({"type": "m.reaction", "content": {}}, {"type": "m.room.message", "content": {}}, {}):
        assert letter_of(source) is None


@calm
@given(st.dictionaries(st.sampled_from(["type", "content"]), st.sampled_from(["m.room.message", {}, 3, None])))
def test_no_event_makes_the_bridge_stumble(source: dict[str, Any]) -> None:
    letter_of(source)
    values: list[Any] = [3, None, [], {}, "x"]
    for value in values:
        letter_of({"type": "m.room.message", "content": {"m.relates_to": value, "m.new_content": value, "body": value}})
