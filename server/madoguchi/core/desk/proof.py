"""Proof of work at arriving, in place of a captcha: ALTCHA's protocol (version 1), SHA-256 and HMAC by the book.

One arrival costs a phone a moment while its page is read; ten thousand cost somebody a computer. Only those without an
account are asked: whoever has one, or is brought by a bridge, is known and limited by that.
"""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import settings as desk_settings
from madoguchi.storage import proofs as stored
from madoguchi.storage.db import Tx

GOOD_FOR = timedelta(minutes=20)
# So many arrivals in these minutes are an ordinary evening; each further such number adds the work once more.
_RUSH = timedelta(minutes=5)
_ORDINARY = 60
_MOST_TIMES = 8
# The sign at the end keeps digits from wandering between salt and number.
_SALT = re.compile(r"[0-9a-f]{24}\?expires=([0-9]{10})&")


class Challenge(msgspec.Struct, frozen=True):
    """Wanted is the number up to `maxnumber` with SHA-256(salt + number) = challenge. maxnumber 0: nothing is asked."""

    challenge: str
    salt: str
    maxnumber: int
    signature: str
    algorithm: str = "SHA-256"


class Proof(msgspec.Struct, frozen=True):
    """A challenge as it was given, with the number that was found."""

    challenge: Annotated[str, Meta(max_length=64)]
    salt: Annotated[str, Meta(max_length=100)]
    signature: Annotated[str, Meta(max_length=64)]
    number: Annotated[int, Meta(ge=0, le=10_000_000)]


def work_in(usual: int, arrivals: int) -> int:
    """The largest number to be tried, after so many arrivals in the last minutes."""
    return usual * min(1 + arrivals // _ORDINARY, _MOST_TIMES)


def challenge_of(key: bytes, at: datetime, maxnumber: int) -> Challenge:
    """A fresh challenge."""
    salt = f"{secrets.token_hex(12)}?expires={int((at + GOOD_FOR).timestamp())}&"
    challenge = _digest(salt, secrets.randbelow(maxnumber + 1))
    return Challenge(challenge, salt, maxnumber, _signature(key, challenge))


def expiry_of(key: bytes, proof: Proof, at: datetime) -> datetime | None:
    """Until when a proof is good; None if it is not, or no longer."""
    salt = _SALT.fullmatch(proof.salt)
    if salt is None or not proof.challenge.isascii() or not proof.signature.isascii():
        return None
    expires_at = datetime.fromtimestamp(int(salt[1]), UTC)
    signed = hmac.compare_digest(_signature(key, proof.challenge), proof.signature)
    solved = hmac.compare_digest(_digest(proof.salt, proof.number), proof.challenge)
    return expires_at if signed and solved and at < expires_at else None


async def get_challenge(ctx: Context, tx: Tx) -> Challenge:
    """What whoever arrives now has to solve."""
    at = ctx.clock.now()
    usual = (await desk_settings.get(tx)).proof_of_work
    # Where nothing is limited, a rush of arrivals is wanted.
    arrivals = await stored.count_used(tx, at - _RUSH) if ctx.settings.limits == "on" else 0
    return challenge_of(await stored.get_key(tx), at, work_in(usual, arrivals))


async def check(ctx: Context, tx: Tx, proof: Proof | None) -> None:
    """Uses a proof up. Raises ProofNeeded with a fresh challenge if there is none that is good."""
    if (await desk_settings.get(tx)).proof_of_work == 0:
        return
    at = ctx.clock.now()
    if proof is not None:
        expires_at = expiry_of(await stored.get_key(tx), proof, at)
        if expires_at is not None and await stored.insert_used(tx, bytes.fromhex(proof.challenge), at, expires_at):
            return
    raise errors.ProofNeeded("Please solve this first.", challenge=await get_challenge(ctx, tx))


def _digest(salt: str, number: int) -> str:
    return hashlib.sha256(f"{salt}{number}".encode()).hexdigest()


def _signature(key: bytes, challenge: str) -> str:
    return hmac.new(key, challenge.encode(), hashlib.sha256).hexdigest()
