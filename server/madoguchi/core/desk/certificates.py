"""The deletion certificate 廃棄証明書: what a purge destroyed, in figures, signed, to be checked anywhere."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import auditing
from madoguchi.crypto import canonical_json, signed_page
from madoguchi.ids import CaseID
from madoguchi.storage import certificates as stored
from madoguchi.storage import wrapping
from madoguchi.storage.db import Tx

# A signature over a certificate is good for nothing else, and no other for a certificate.
WORD = b"madoguchi deletion certificate\n"
NAME = "certificate"
# What is not destroyed, and what the certificate can't speak of (docs/operations.md, "Destroy a case").
_LEFT = ["figures", "steps", "record_codes", "departures_for_30_days"]
_LEFT_BY_WISH = ["figures", "departures_for_30_days", "whose_it_was_for_30_days"]
# What is left after a kind has gone by itself, of a case that is not purged yet and of one that is.
LEFT_WITHOUT = {
    "media": ["messages", "sealed_keys", *_LEFT[:3]],
    "record": ["messages", "sealed_keys", "files", "figures", "steps"],
    "purged_record": ["figures", "steps"],
    "metadata": ["figures"],
}
_DEVICES = "devices_of_those_who_took_part"
_NOT_COVERED = ["backups_made_before", _DEVICES]
# Where the keys were wrapped, a backup of the database opens only with a copy of what they were wrapped in.
_NOT_COVERED_WRAPPED = [
    "database_backups_made_before_wrapped_since", "database_backups_with_wrapping_keys_saved_before",
    "keeper_and_bridges_backups_made_before", _DEVICES,
]  # fmt: skip


async def make(
    ctx: Context, tx: Tx, case_id: CaseID, at: datetime, by: str, reason: str | None, destroyed: dict[str, list[str]],
    receipt: str | None = None, left: list[str] | None = None, wrapped_since: datetime | None = None,
) -> None:  # fmt: skip
    """Signs and stores the certificate of a purge.

    destroyed: the ids of what was destroyed, by kind; they go in as figures and one digest. receipt: of the person's
    wish that it answers. left: what is not destroyed, where that is not what a purge leaves. wrapped_since: from when
    on backups of the database have the case's keys wrapped only, in what was destroyed. Raises Conflict without a key:
    what was destroyed could not be proved.
    """
    try:
        key = auditing.read_key(ctx.settings.keys)
    except (OSError, ValueError):
        raise errors.Conflict("The audit key can't be read; it signs the certificate. Nothing was destroyed.") from None
    number = len(await stored.list_of_case(tx, case_id)) + 1
    page: dict[str, Any] = {
        "desk": ctx.settings.server_name,
        "number": number,
        "case": case_id,
        "purged_at": _told(at),
        "by": by,
        "reason": reason or "",
        "destroyed": {kind: len(ids) for kind, ids in destroyed.items()},
        "digest": digest(f"{kind} {each}" for kind, ids in destroyed.items() for each in ids),
        # They are off the list of what anybody can ask for; `work` takes them off the store within minutes.
        "files": "listed_for_removal",
        "left": left or (_LEFT if receipt is None else _LEFT_BY_WISH),
        "not_covered": _NOT_COVERED if wrapped_since is None else _NOT_COVERED_WRAPPED,
    }
    if wrapped_since is not None:
        saved_at = await wrapping.get_saved_at(tx)
        page["wrapped_since"] = _told(wrapped_since)
        page["wrapping_keys_saved"] = _told(saved_at) if saved_at else None
    if receipt is not None:
        page["receipt"] = receipt
    signed = signed_page.sign(key, page, WORD)
    text = canonical_json.encode(page).decode()
    public = bytes(key.verify_key)
    await stored.insert(tx, stored.Stored(case_id, at, text, signed.hash, signed.signature, public, number, receipt))


def _told(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def digest(lines: Iterable[str]) -> str:
    """SHA-256 (hex) over lines `kind id`, sorted, each with its line feed."""
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


async def destroyed_by(tx: Tx, receipt: str) -> dict[str, int]:
    """How much was destroyed by a person's wish, by kind, of all their cases together."""
    total: dict[str, int] = {}
    for found in await stored.list_of_wish(tx, receipt):
        for kind, count in json.loads(found.document)["destroyed"].items():
            total[kind] = total.get(kind, 0) + count
    return total


async def as_file(tx: Tx, case_id: CaseID) -> dict[str, Any]:
    """A case's last certificate as the JSON file that `madoguchi case verify` takes. Raises NotFound."""
    found = await stored.list_of_case(tx, case_id)
    if not found:
        raise errors.NotFound("There is no certificate of this case: it is not purged, or was before there were any.")
    return _file(found[-1])


async def files_of_wish(tx: Tx, receipt: str) -> list[dict[str, Any]]:
    """The certificates that answer a person's wish, as such files, a case each. Raises NotFound."""
    found = await stored.list_of_wish(tx, receipt)
    if not found:
        raise errors.NotFound("Nothing was destroyed under this receipt: it is not done yet, or there is none such.")
    return [_file(each) for each in found]


def _file(found: stored.Stored) -> dict[str, Any]:
    return {
        NAME: json.loads(found.document),
        "hash": signed_page.text(found.hash),
        "signature": signed_page.text(found.signature),
        "public_key": signed_page.text(found.public_key),
    }
