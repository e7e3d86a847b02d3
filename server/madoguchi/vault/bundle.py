"""Opened cases → the files that are handed over: documents, attachments, manifest, signature; and opening records."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from madoguchi.storage.vault import Opened
from madoguchi.vault import attachments, signing
from madoguchi.vault.attachments import Fetch
from madoguchi.vault.ceremony import Opening, Witness
from madoguchi.vault.paper import as_pdf
from madoguchi.vault.written import Document, as_json_lines, as_page

RECORD_FORMAT = "madoguchi-opening-1"


async def make(
    openings: Sequence[Opening], key_id: str, private_key: bytes, witness: Witness, at: datetime, fetch: Fetch
) -> dict[str, bytes]:
    """Name → content, signed. A folder for each case; conversation and side room in files of their own."""
    files: dict[str, bytes] = {}
    rooms = []
    for opening in openings:
        room = opening.room
        name = "side-room" if room.side else "conversation"
        attached = await attachments.opened(opening.entries, f"{name}-files", fetch)
        names, entries = opening.names, opening.entries
        document = Document(room.case_id, room.room_id, room.side, entries, names, attached, key_id)
        base = re.sub(r"[^A-Za-z0-9_-]", "_", room.case_id or room.room_id)
        files[f"{base}/{name}.jsonl"] = as_json_lines(document)
        files[f"{base}/{name}.html"] = as_page(document)
        files[f"{base}/{name}.pdf"] = as_pdf(document)
        for file in attached.values():
            if file.content is not None:
                files[f"{base}/{file.name}"] = file.content
        unreadable = [{"event_id": entry.event_id, "why": entry.unreadable} for entry in entries if entry.unreadable]
        lost = [{"event_id": event, "file": file.why_not} for event, file in attached.items() if file.why_not]
        told: dict[str, Any] = {"case": room.case_id, "room": room.room_id, "side": room.side, "folder": base}
        told |= {"entries": len(entries), "unreadable": unreadable + lost, "damaged_keys": opening.damaged}
        rooms.append(told | ({"closed": opening.closed} if opening.closed else {}))
    return signing.sign(files, {"vault": key_id, **_who(witness, at), "rooms": rooms}, private_key)


def make_record(
    openings: Sequence[Opening], witness: Witness, at: datetime, private_key: bytes, manifest: bytes | None
) -> bytes:
    """What has to be written down of an opening away from the desk, signed; `read_record` takes it."""
    rooms = [[room.case_id, room.room_id, room.entries, room.unreadable] for room in (o.opened() for o in openings)]
    told: dict[str, Any] = {"format": RECORD_FORMAT, **_who(witness, at), "rooms": rooms}
    told["manifest"] = manifest.hex() if manifest else None
    text = json.dumps(told, ensure_ascii=False)
    signature = signing.signing_key(private_key).sign(text.encode()).signature.hex()
    return json.dumps({"record": text, "signature": signature}, ensure_ascii=False, indent=1).encode() + b"\n"


def read_record(content: bytes, public_key: bytes) -> tuple[list[Opened], Witness, datetime, bytes | None, bytes]:
    """(rooms, who and why, when, the manifest's hash, the record's own hash). Raises signing.NotGenuine."""
    try:
        outer = json.loads(content)
        text, signature = outer["record"].encode(), bytes.fromhex(outer["signature"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise signing.NotGenuine("This is no opening record.") from None
    signing.check(text, signature, public_key)
    told = json.loads(text)
    if told.get("format") != RECORD_FORMAT:
        raise signing.NotGenuine("What was signed is no opening record that this version knows.")
    manifest = bytes.fromhex(told["manifest"]) if told["manifest"] else None
    who = Witness(told["by"], told["reason"], told["holders"])
    at = datetime.fromisoformat(told["made_at"])
    return [Opened(*room) for room in told["rooms"]], who, at, manifest, hashlib.sha256(text).digest()


def _who(witness: Witness, at: datetime) -> dict[str, Any]:
    return {
        "made_at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "by": witness.by,
        "reason": witness.reason,
        "holders": list(witness.holders),
    }
