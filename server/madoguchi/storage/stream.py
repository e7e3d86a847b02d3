"""The one position for everything that sync delivers, and the announcements that go with it.

A plain sequence would let transactions become visible out of order, and a reader would lose what commits late. The
single row `stream(pos)` is advanced late in a transaction and stays locked until its commit: so positions become
visible in their order, without gaps, and PostgreSQL delivers the notifications of these transactions in that order too.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from madoguchi.storage.db import Tx, taken

CHANNEL = "madoguchi_stream"
# PostgreSQL takes less than 8,000 bytes a notification.
_MOST_BYTES = 7_500


class Note(NamedTuple):
    """One thing that readers may be waiting for.

    kind: event, to_device, account_data, receipt, typing, presence, devices, keys, session, push_rules, profile, desk,
    room
    key: the user id, room id or topic it is about
    extra: what a reader needs besides (JSON text of the kind's own shape), never content; for `devices`, the room that
    the user has come into or left, where it is that and not the keys that changed
    """

    kind: str
    key: str
    extra: str = ""


class Announcement(msgspec.Struct, array_like=True):
    """The payload of one notification. A transaction that does not fit is announced in several; `last`: the final one.

    first, pos: the positions that the transaction took, both included
    """

    origin: str
    first: int
    pos: int
    last: bool
    notes: list[tuple[int, str, str, str]]


ORIGIN = secrets.token_hex(4)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Announcement)


def decode(payload: str) -> Announcement:
    """Reads what `announce` wrote. Raises msgspec.DecodeError on anything else."""
    return _decoder.decode(payload)


def payloads(first: int, pos: int, notes: Sequence[tuple[int, str, str, str]]) -> list[str]:
    """Cuts the notes of one transaction into notifications that fit."""
    pieces: list[list[tuple[int, str, str, str]]] = [[]]
    size = 0
    for note in notes:
        length = len(_encoder.encode(note)) + 1
        if pieces[-1] and size + length > _MOST_BYTES - 100:
            pieces.append([])
            size = 0
        pieces[-1].append(note)
        size += length
    end = len(pieces) - 1
    return [
        _encoder.encode(Announcement(ORIGIN, first, pos, number == end, piece)).decode()
        for number, piece in enumerate(pieces)
    ]


async def publish(tx: Tx, *notes: Note, count: int = 1) -> int:
    """Takes the next `count` positions and announces the notes under the last of them. Gives that last position.

    Call it late: from here to the commit every other writer waits.
    """
    pos = await take(tx, count)
    await announce(tx, pos - count + 1, pos, [(pos, *note) for note in notes])
    return pos


async def take(tx: Tx, count: int) -> int:
    """Takes the next `count` positions, which the same transaction must announce. Gives the last."""
    pos: int = await tx.fetchval("UPDATE stream SET pos = pos + $1 RETURNING pos", count)
    taken.set(pos)
    return pos


async def announce(tx: Tx, first: int, pos: int, notes: Sequence[tuple[int, str, str, str]]) -> None:
    """Announces notes under positions that this transaction has taken already."""
    for payload in payloads(first, pos, notes):
        await tx.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)


async def position(tx: Tx) -> int:
    """The position of the newest transaction that is visible."""
    pos: int = await tx.fetchval("SELECT pos FROM stream")
    return pos


async def lock(tx: Tx) -> int:
    """Waits for all other writers, and keeps them waiting until the end of this transaction. Gives the position.

    For changes that must be judged by the newest state of a room: what is read after this call can't change before
    the commit.
    """
    pos: int = await tx.fetchval("SELECT pos FROM stream FOR UPDATE")
    return pos
