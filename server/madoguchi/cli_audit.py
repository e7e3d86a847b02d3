"""`madoguchi audit`: the log of who did what, checked and exported."""

import base64
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import auditing
from madoguchi.crypto import chain
from madoguchi.flags import with_settings
from madoguchi.storage import audit as stored
from madoguchi.storage.db import Tx

FORMAT = "madoguchi audit log 1"


@click.group()
def audit() -> None:
    """Who did what: checked against its chain and its signatures, or written to a file."""


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The public key that signed it (base64); otherwise the one that FILE names.")
@with_settings
def verify(settings: Settings, file: Path | None, key: str | None) -> None:
    """Check the desk's log, or an exported FILE, which needs nothing of the desk. Ends with 1 if anything is wrong."""
    if file is not None:
        count, faults, cut = _of_file(file, key)
    else:

        async def act(ctx: Context, tx: Tx) -> tuple[int, list[str], chain.Anchor | None]:
            return *(await auditing.faults(ctx, tx)), await stored.get_anchor(tx)

        count, faults, cut = in_transaction(settings, act)
    for fault in faults:
        click.echo(f"WRONG: {fault}.")
    if not faults:
        click.echo(f"{count} entries, whole and signed.")
    if cut is not None and not faults:
        click.echo(f"They begin with {cut.seq + 1}: what was before was cut on {cut.at:%Y-%m-%d}, as is signed, too.")
    sys.exit(1 if faults else 0)


@audit.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write to this new file instead of the screen.")
@with_settings
def export(settings: Settings, out: Path | None) -> None:
    """Write the whole log as JSON Lines, signed as it stands. That it was exported stands in it."""

    async def act(ctx: Context, tx: Tx) -> list[dict[str, Any]]:
        await stored.append(tx, ctx.clock.now(), operator(), "audit.exported")
        await auditing.sign_head(ctx, tx)
        key = bytes(auditing.read_key(settings.keys).verify_key)
        head = {"format": FORMAT, "desk": settings.server_name, "public_key": _text(key)}
        entries = [{**entry.shown(), "hash": _text(entry.hash)} async for entry in stored.read_all(tx)]
        anchor = await stored.get_anchor(tx)
        begins = [] if anchor is None else [{**_head(anchor, "anchor")}]
        return [head, *begins, *entries, *(_head(each) for each in await stored.list_heads(tx))]

    lines = in_transaction(settings, act)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as written:
            written.write(text)
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}.") from None
    click.echo(f"{len(lines)} lines in {out}.")


@audit.command(name="key")
@with_settings
def show_key(settings: Settings) -> None:
    """Print the public key by which anybody can check an exported log."""
    try:
        click.echo(_text(bytes(auditing.read_key(settings.keys).verify_key)))
    except (OSError, ValueError):
        raise click.ClickException("There is no audit key yet; the first start makes it.") from None


def _of_file(file: Path, key: str | None) -> tuple[int, list[str], chain.Anchor | None]:
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        about = lines[0]
        if about.get("format") != FORMAT:
            raise click.ClickException(f"{file} is not an exported audit log.")
        entries = [
            chain.Entry(
                line["seq"], datetime.fromisoformat(line["at"]), line["actor"], line["act"], line["subject"],
                line["detail"], base64.b64decode(line["hash"]),
            )
            for line in lines[1:]
            if "seq" in line
        ]  # fmt: skip
        heads = [chain.Head(*_place(line, "head")) for line in lines[1:] if "head" in line]
        anchor = next((chain.Anchor(*_place(line, "anchor")) for line in lines[1:] if "anchor" in line), None)
        public_key = base64.b64decode(key or about["public_key"])
        return len(entries), chain.faults(entries, heads, about["desk"], public_key, anchor), anchor
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise click.ClickException(f"{file} is damaged: it can't be read as an exported audit log.") from None


def _place(line: dict[str, Any], name: str) -> tuple[int, bytes, datetime, bytes]:
    return (
        line[name],
        base64.b64decode(line["hash"]),
        datetime.fromisoformat(line["at"]),
        base64.b64decode(line["signature"]),
    )


def _head(head: chain.Head | chain.Anchor, name: str = "head") -> dict[str, Any]:
    return {
        name: head.seq,
        "hash": _text(head.hash),
        "at": chain.moment(head.at),
        "signature": _text(head.signature),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
