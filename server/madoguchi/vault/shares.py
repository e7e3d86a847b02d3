"""The vault's private key as words on paper: k of n shares, SLIP-39. Imports nothing of the server."""

import base64
from collections.abc import Sequence

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics

WORDS = 33
_KEY_BYTES = 32
# Each step doubles the work of guessing a passphrase; there is none here, the key itself is random.
_ITERATION_EXPONENT = 0


class SharesProblem(Exception):
    """The words are not shares of one key, or too few. The text says what to do."""


def split(private_key: bytes, shares: int, threshold: int) -> list[str]:
    """`shares` lines of 33 words, any `threshold` of which give the key again. Raises SharesProblem."""
    if not 1 <= threshold <= shares <= 16:
        raise SharesProblem("The threshold must be between 1 and the number of shares, and shares at most 16.")
    if threshold == 1 and shares > 1:
        raise SharesProblem("A threshold of 1 needs no shares: each holder could open alone. Take 2 or more.")
    group: list[str]
    (group,) = generate_mnemonics(1, [(threshold, shares)], private_key, iteration_exponent=_ITERATION_EXPONENT)
    return group


def read(text: str) -> bytes:
    """The private key from what people hand in: one share a line, or the key itself in base64.

    Empty lines and lines that begin with # are passed over. Raises SharesProblem.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise SharesProblem("No key was given: one share (33 words) a line, or the key itself.")
    if len(lines) == 1 and " " not in lines[0]:
        try:
            key = base64.b64decode(lines[0], validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise SharesProblem("This is neither a share of 33 words nor a key of 32 bytes in base64.")
        return key
    return join(lines)


def join(lines: Sequence[str]) -> bytes:
    """The private key from enough shares. Raises SharesProblem that names the line at fault."""
    parsed = []
    for number, line in enumerate(lines, 1):
        words = line.lower().split()
        if len(words) != WORDS:
            raise SharesProblem(f"Line {number} has {len(words)} words; a share has {WORDS}.")
        try:
            parsed.append(Share.from_mnemonic(" ".join(words)))
        except MnemonicError as error:
            raise SharesProblem(f"Line {number} is not a share: a word is mistyped or missing.") from error
    if len({share.identifier for share in parsed}) > 1:
        raise SharesProblem("These shares belong to different keys.")
    distinct = {share.index: share for share in parsed}
    needed = parsed[0].member_threshold
    if len(distinct) < needed:
        raise SharesProblem(f"{needed} different shares are needed; {len(distinct)} were given.")
    try:
        key: bytes = combine_mnemonics([share.mnemonic() for share in list(distinct.values())[:needed]])
    except MnemonicError as error:
        raise SharesProblem("These shares do not fit together.") from error
    if len(key) != _KEY_BYTES:
        raise SharesProblem("These shares give a key of another kind.")
    return key
