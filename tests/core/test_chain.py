"""The audit log's chain: whatever is done to a log that was written, it shows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from madoguchi.crypto import chain
from madoguchi.crypto.chain import Entry, Head

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes([1] * 32))
PUBLIC = bytes(KEY.verify_key)
NOON = datetime(2026, 11, 27, 12, 0, 0, 123_456, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def written(told: list[tuple[str, str, str, str]]) -> list[Entry]:
    entries: list[Entry] = []
    before = chain.BEGINNING
    for number, (actor, act, subject, detail) in enumerate(told, 1):
        entry = Entry(number, NOON + timedelta(seconds=number), actor, act, subject, detail)
        before = chain.entry_hash(before, entry)
        entries.append(replace(entry, hash=before))
    return entries


def signed(entries: list[Entry], at: int) -> Head:
    return chain.sign(KEY, "desk", at, entries[at - 1].hash, NOON)


logs = st.lists(st.tuples(text, text, text, text), min_size=2, max_size=12).map(written)


@given(logs)
def test_a_log_as_it_was_written_is_whole(entries: list[Entry]) -> None:
    heads = [signed(entries, at) for at in {1, len(entries)}]
    assert chain.faults(entries, heads, "desk", PUBLIC) == []
    assert chain.faults([], [], "desk", PUBLIC) == []


@given(logs, st.data())
def test_whatever_is_changed_in_one_entry_shows(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["actor", "act", "subject", "detail", "at", "seq", "hash"]))
    changes: dict[str, Callable[[Entry], Entry]] = {
        "at": lambda entry: replace(entry, at=entry.at + timedelta(microseconds=1)),
        "seq": lambda entry: replace(entry, seq=entry.seq + 1),
        "hash": lambda entry: replace(entry, hash=bytes([entry.hash[0] ^ 1]) + entry.hash[1:]),
    }
    change = changes.get(field, lambda entry: replace(entry, **{field: getattr(entry, field) + "x"}))
    changed = [change(entry) if number == place else entry for number, entry in enumerate(entries)]
    assert chain.faults(changed, [], "desk", PUBLIC) != []


@given(logs, st.data())
def test_an_entry_left_out_moved_or_put_in_shows(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(entries) - 2))
    without = entries[:place] + entries[place + 1 :]
    moved = [*entries]
    moved[place], moved[place + 1] = moved[place + 1], moved[place]
    twice = [*entries[: place + 1], entries[place], *entries[place + 1 :]]
    for log in (without, moved, twice):
        assert chain.faults(log, [], "desk", PUBLIC) != []


@given(logs, st.data())
def test_an_end_that_was_cut_off_or_written_anew_shows_by_a_signed_head(
    entries: list[Entry], data: st.DataObject
) -> None:
    head = signed(entries, data.draw(st.integers(1, len(entries))))
    left = data.draw(st.integers(0, head.seq - 1))
    assert "went on to" in chain.faults(entries[:left], [head], "desk", PUBLIC)[0]
    # Whoever has the database, but not the key, writes the whole log anew: every hash fits, the head does not.
    told = [(entry.actor, entry.act, entry.subject, entry.detail + "!") for entry in entries]
    assert "another one than the signed head" in chain.faults(written(told), [head], "desk", PUBLIC)[0]


def test_a_head_is_of_one_desk_one_key_and_one_moment() -> None:
    entries = written([("a", "b", "c", "d")] * 3)
    head = signed(entries, 3)
    for heads, desk, key in (
        ([replace(head, at=head.at + timedelta(days=1))], "desk", PUBLIC),
        ([head], "another desk", PUBLIC),
        ([head], "desk", bytes(OTHER.verify_key)),
        ([chain.sign(OTHER, "desk", 3, entries[2].hash, NOON)], "desk", PUBLIC),
        ([replace(head, seq=2, hash=entries[1].hash)], "desk", PUBLIC),
    ):
        assert "was not signed by this key" in chain.faults(entries, heads, desk, key)[0]
