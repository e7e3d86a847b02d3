"""The audit log's key and signed heads. Entries are written where things are done: `storage.audit.append`."""

from datetime import datetime
from pathlib import Path

from nacl.signing import SigningKey

from madoguchi.context import Context
from madoguchi.crypto import chain
from madoguchi.storage import audit as stored
from madoguchi.storage.db import Tx

KEY_FILE = "audit.key"


def read_key(keys: Path) -> SigningKey:
    """The key that signs the log's heads (32 bytes in DATA/keys). Raises OSError, ValueError."""
    return SigningKey((keys / KEY_FILE).read_bytes())


async def sign_head(ctx: Context, tx: Tx) -> chain.Head | None:
    """Signs the log as it stands now, unless its end is signed already or it is empty."""
    seq, last = await stored.get_last(tx)
    heads = await stored.list_heads(tx)
    if seq == 0 or (heads and heads[-1].seq == seq):
        return None
    head = chain.sign(read_key(ctx.settings.keys), ctx.settings.server_name, seq, last, ctx.clock.now())
    await stored.insert_head(tx, head)
    return head


async def cut(ctx: Context, tx: Tx, before: datetime) -> int:
    """Cuts the log up to the newest signed head before a moment, behind a signed anchor. Gives how many entries.

    Cuts nothing from a log that is not whole. Raises OSError, ValueError without the key.
    """
    _, wrong = await faults(ctx, tx)
    head = await stored.get_head_to_cut(tx, before)
    if wrong or head is None:
        return 0
    at = ctx.clock.now()
    await stored.append(tx, at, "retention", "audit.cut", str(head.seq))
    key = read_key(ctx.settings.keys)
    return await stored.cut(tx, chain.sign_anchor(key, ctx.settings.server_name, head.seq, head.hash, at))


async def faults(ctx: Context, tx: Tx) -> tuple[int, list[str]]:
    """How many entries the log has, and what is wrong with it."""
    entries = [entry async for entry in stored.read_all(tx)]
    key = bytes(read_key(ctx.settings.keys).verify_key)
    heads, anchor = await stored.list_heads(tx), await stored.get_anchor(tx)
    return len(entries), chain.faults(entries, heads, ctx.settings.server_name, key, anchor)
