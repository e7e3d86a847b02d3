"""How far people have read (client-server API, "Receipts", "Fully read markers", "Threaded read receipts")."""

from madoguchi import errors
from madoguchi.core.chat import account_data
from madoguchi.core.chat.shapes import check_names
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import account_data as stored_account_data
from madoguchi.storage import receipts as storage
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.receipts import Receipt, Target
from madoguchi.storage.stream import Note

READ = "m.read"
READ_PRIVATE = "m.read.private"
FULLY_READ = account_data.FULLY_READ
MAIN = "main"
_HOPS = 3


async def set_receipt(
    tx: Tx,
    room_id: RoomID,
    user_id: UserID,
    receipt_type: str,
    event_id: EventID,
    thread_id: str | None,
    at: int,
) -> None:
    """Says that the user has read up to an event; one that lies behind an earlier receipt changes nothing.

    thread_id: None counts for all threads, `main` for events outside threads, else the thread's root. at: now, ms.
    Raises Invalid for an event that is not in the room, or not in the thread.
    """
    if receipt_type == FULLY_READ:
        if thread_id is not None:
            raise errors.Invalid("The fully read marker knows no threads.")
        await set_fully_read(tx, room_id, user_id, event_id)
        return
    if receipt_type not in (READ, READ_PRIVATE):
        raise errors.Invalid("There is no such type of receipt.")
    target = await _target(tx, room_id, event_id)
    if thread_id is not None:
        check_names(thread_id)
        if await thread_of(tx, room_id, target) != thread_id and not (
            # A root may be marked in its own thread: clients do so for a thread without answers.
            thread_id == target.event_id
        ):
            raise errors.Invalid("The event is not in this thread.")
    if await storage.get_position(tx, room_id, user_id, receipt_type, thread_id) >= target.pos:
        return
    # Nobody else may learn of a private receipt, not even that there is one.
    pos = await stream.publish(tx, Note("receipt", room_id, "" if receipt_type == READ else user_id))
    receipt = Receipt(room_id, user_id, receipt_type, event_id, thread_id, at, pos)
    await storage.set_receipt(tx, receipt, target.pos)


async def set_fully_read(tx: Tx, room_id: RoomID, user_id: UserID, event_id: EventID) -> None:
    """Moves the user's fully read marker forward. Raises Invalid for an event that is not in the room."""
    target = await _target(tx, room_id, event_id)
    await stored_account_data.lock_account_data(tx, user_id, room_id, FULLY_READ)
    before = await storage.get_fully_read(tx, room_id, user_id)
    if before < target.pos:
        await account_data.keep(tx, user_id, room_id, FULLY_READ, {"event_id": event_id})


async def _target(tx: Tx, room_id: RoomID, event_id: EventID) -> Target:
    target = await storage.get_target(tx, room_id, event_id)
    if target is None:
        raise errors.Invalid("There is no such event in this room.")
    return target


async def thread_of(tx: Tx, room_id: RoomID, event: Target) -> str:
    """The root of the thread an event is in, `main` outside threads. Relations are followed a few steps, as the
    specification advises: a reaction to an answer in a thread is in the thread."""
    at: Target | None = event
    for _ in range(_HOPS + 1):
        if at is None or at.relates_to is None:
            return MAIN
        if at.rel_type == "m.thread":
            return at.relates_to
        at = await storage.get_target(tx, room_id, at.relates_to)
    return MAIN
