"""The audit log's key and signed heads. Entries are written where things are done: `storage.audit.append`."""

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


async def faults(ctx: Context, tx: Tx) -> tuple[int, list[str]]:
    """How many entries the log has, and what is wrong with it."""
    entries = [entry async for entry in stored.read_all(tx)]
    key = bytes(read_key(ctx.settings.keys).verify_key)
    return len(entries), chain.faults(entries, await stored.list_heads(tx), ctx.settings.server_name, key)
