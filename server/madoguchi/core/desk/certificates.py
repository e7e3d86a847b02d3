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
from madoguchi.storage.db import Tx

# A signature over a certificate is good for nothing else, and no other for a certificate.
WORD = b"madoguchi deletion certificate\n"
NAME = "certificate"
# What is not destroyed, and what the certificate can't speak of (docs/operations.md, "Destroy a case").
_LEFT = ["figures", "steps", "record_codes", "departures_for_30_days"]
_NOT_COVERED = ["backups_made_before", "devices_of_those_who_took_part"]


async def make(
    ctx: Context, tx: Tx, case_id: CaseID, at: datetime, by: str, reason: str | None, destroyed: dict[str, list[str]]
) -> None:
    """Signs and stores the certificate of a purge.

    destroyed: the ids of what was destroyed, by kind; they go in as figures and one digest. Raises Conflict without a
    key: what was destroyed could not be proved.
    """
    try:
        key = auditing.read_key(ctx.settings.keys)
    except (OSError, ValueError):
        raise errors.Conflict("The audit key can't be read; it signs the certificate. Nothing was destroyed.") from None
    page: dict[str, Any] = {
        "desk": ctx.settings.server_name,
        "case": case_id,
        "purged_at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "by": by,
        "reason": reason or "",
        "destroyed": {kind: len(ids) for kind, ids in destroyed.items()},
        "digest": digest(f"{kind} {each}" for kind, ids in destroyed.items() for each in ids),
        # They are off the list of what anybody can ask for; `work` takes them off the store within minutes.
        "files": "listed_for_removal",
        "left": _LEFT,
        "not_covered": _NOT_COVERED,
    }
    signed = signed_page.sign(key, page, WORD)
    text = canonical_json.encode(page).decode()
    public = bytes(key.verify_key)
    await stored.insert(tx, stored.Stored(case_id, at, text, signed.hash, signed.signature, public))


def digest(lines: Iterable[str]) -> str:
    """SHA-256 (hex) over lines `kind id`, sorted, each with its line feed."""
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


async def as_file(tx: Tx, case_id: CaseID) -> dict[str, Any]:
    """A case's certificate as the JSON file that `madoguchi case verify` takes. Raises NotFound."""
    found = await stored.get(tx, case_id)
    if found is None:
        raise errors.NotFound("There is no certificate of this case: it is not purged, or was before there were any.")
    return {
        NAME: json.loads(found.document),
        "hash": signed_page.text(found.hash),
        "signature": signed_page.text(found.signature),
        "public_key": signed_page.text(found.public_key),
    }
