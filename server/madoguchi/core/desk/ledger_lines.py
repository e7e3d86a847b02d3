"""The lines of the viewing ledger 閲覧範囲台帳 that follow from how the desk is set up. What is not known is `unknown`.

A line says something about one place, company, process or role. Its `facts` are words (`ledger_words.py` says them in
Japanese and English) or names; a change of them matters where the line is watched. `counts` change every day.
"""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from madoguchi.context import Context
from madoguchi.core import egress
from madoguchi.core.chat import registrations
from madoguchi.core.desk import case_room, channels, periods, readers
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.countries import INSIDE, UNKNOWN, Countries, of_host
from madoguchi.storage import account_data, vault
from madoguchi.storage import channels as stored_channels
from madoguchi.storage.channels import Channel
from madoguchi.storage.db import Tx

Section = Literal[
    "readers", "processes", "channels", "push", "places", "allowed", "contacted", "roles", "entrances", "connected",
    "logins", "access", "retention",
]  # fmt: skip
Source = Literal["configured", "probed", "counted", "stated"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """key: what it is about, unlike any other line's; source: whether it was set, looked up, counted, or is what the
    makers of this software say; watched: whether a change is drift."""

    section: Section
    key: str
    facts: dict[str, str] = {}
    counts: dict[str, int] = {}
    source: Source = "configured"
    watched: bool = True


# Companies behind apps and push services: what is public of them. How long they keep what they have, and where, no
# operator can look up: it stays `unknown`.
_APPS = {"line": ("LINEヤフー株式会社", "JP"), "telegram": ("Telegram Messenger Inc.", "VG")}
_PUSH_MAKERS = {
    "googleapis.com": ("Google", "US"),
    "mozilla.com": ("Mozilla", "US"),
    "apple.com": ("Apple", "US"),
    "windows.com": ("Microsoft", "US"),
}
# What each process can come to know; docs/security.md says why.
_PROCESSES = {
    "serve": "metadata", "work": "metadata", "keeper": "content", "bridges": "in_passing", "vault": "holders",
}  # fmt: skip


async def list_configured(ctx: Context, tx: Tx, countries: Countries) -> list[Line]:
    """Everything that follows from settings."""
    known = await stored_channels.list_channels(tx)
    return [
        *await _readers(ctx, tx),
        *(Line(section="processes", key=name, facts={"reads": reads}, source="stated")
          for name, reads in _PROCESSES.items()),
        *await _channels(ctx, tx, known, countries),
        *await _push(ctx, countries),
        *await _places(ctx, countries),
        *(Line(section="allowed", key=host, facts={"what_for": what_for})
          for host, what_for in sorted(allowed(ctx, known).items())),
        *await _retention(tx),
    ]  # fmt: skip


def allowed(ctx: Context, known: Sequence[Channel]) -> dict[str, str]:
    """The hosts that a process of the desk may call, and what for. `*.` in front: every host under the name."""
    settings = ctx.settings
    found = {egress.host_of(each): "push_gateway" for each in settings.push_gateways}
    for each in settings.web_push_services:
        host = egress.host_of(each.replace("://*.", "://", 1))
        found["*." + host if "://*." in each else host] = "web_push"
    found |= {egress.host_of(service.url): "appservice" for service in ctx.appservices if service.url}
    if settings.media_store == "s3":
        found[egress.host_of(settings.media_s3_endpoint)] = "files"
    kinds = {channel.kind for channel in known if channel.has_secrets}
    if "line" in kinds:
        found |= {egress.host_of(base): "app" for base in (settings.line_api_base, settings.line_data_base)}
    if "telegram" in kinds:
        found[egress.host_of(settings.telegram_api_base)] = "app"
    return found


def is_allowed(host: str, hosts: Sequence[str]) -> bool:
    """Whether a host stands on the list, by itself or under a name."""
    return host in hosts or any(name.startswith("*.") and host.endswith(name[1:]) for name in hosts)


async def _readers(ctx: Context, tx: Tx) -> list[Line]:
    told = await readers.list_readers(ctx, tx)
    found = [
        Line(
            section="readers",
            key=f"app:{reader.who}" if reader.kind == "app" else reader.kind,
            facts={"can_read": "yes" if reader.reads else "no"},
        )
        for reader in told
    ]
    kept = await account_data.get_account_data(tx, case_room.keeper_id(ctx), None, case_room.KEEPER_RECOVERY)
    if kept is not None:
        # Whoever has the key and its passphrase, with the database.
        facts = {"key": str(msgspec.json.decode(kept).get("key"))[:16], "can_read": "running"}
        found.append(Line(section="readers", key="recovery_key", facts=facts))
    made = await vault.get_vault(tx)
    if made is None:
        return found
    holders = Line(
        section="readers",
        key="vault_holders",
        facts={"key": made.key_id, "needed": str(made.threshold), "holders": str(made.shares)},
    )
    return [*found, holders]


async def _channels(ctx: Context, tx: Tx, known: Sequence[Channel], countries: Countries) -> list[Line]:
    bases = {"line": ctx.settings.line_api_base, "telegram": ctx.settings.telegram_api_base}
    found: list[Line] = []
    crossed = await channels.list_crossed(ctx, tx)
    for channel in known:
        facts = {
            "kind": channel.kind,
            "mode": channel.mode,
            "company_learns": channels.company_learns(channel, channel.id in crossed),
        }
        if channel.kind not in channels.OWN:
            company = _APPS.get(channel.kind, (UNKNOWN, UNKNOWN))
            host = egress.host_of(bases[channel.kind]) if channel.kind in bases else ""
            facts |= await _company(countries, company, host)
        found.append(Line(section="channels", key=channel.id, facts=facts))
    for service in registrations.of_others(ctx.appservices):
        # Its ghosts have keys of their own: whatever it brings in, it and the app behind it can read.
        facts = {"kind": "appservice", "company_learns": "content"}
        facts |= await _company(countries, (UNKNOWN, UNKNOWN), egress.host_of(service.url) if service.url else "")
        found.append(Line(section="channels", key=f"bridge:{service.id}", facts=facts))
    return found


async def _company(countries: Countries, known: tuple[str, str], host: str) -> dict[str, str]:
    company, seat = known
    return {
        "company": company,
        "seat": seat,
        "host": host or UNKNOWN,
        "host_country": await of_host(countries, _name(host)),
        "kept_by_company": UNKNOWN,
    }


async def _push(ctx: Context, countries: Countries) -> list[Line]:
    settings = ctx.settings
    found: list[Line] = []
    for kind, addresses in (("push_gateway", settings.push_gateways), ("web_push", settings.web_push_services)):
        for address in addresses:
            host = egress.host_of(address.replace("://*.", "://", 1))
            name = _name(host)
            company, seat = next(
                (made for end, made in _PUSH_MAKERS.items() if name == end or name.endswith("." + end)),
                (UNKNOWN, UNKNOWN),
            )
            wide = "://*." in address
            facts = {
                "kind": kind,
                "company": company,
                "seat": seat,
                "host_country": UNKNOWN if wide else await of_host(countries, name),
                "company_learns": "metadata",
                "kept_by_company": UNKNOWN,
            }
            found.append(Line(section="push", key="*." + host if wide else host, facts=facts))
    return found


async def _places(ctx: Context, countries: Countries) -> list[Line]:
    settings = ctx.settings
    hosts = database_hosts(settings.database_url)
    keys = ["database", *(f"database:{number}" for number in range(2, len(hosts) + 1))]
    found = [await _place(key, host, "sealed", countries) for key, host in zip(keys, hosts, strict=True)]
    if settings.media_store == "s3":
        found.append(await _place("files", _name(egress.host_of(settings.media_s3_endpoint)), "sealed", countries))
    else:
        found.append(await _place("files", "this_machine", "sealed", countries))
    for number, place in enumerate(settings.backup_places or (UNKNOWN,), 1):
        found.append(await _place(f"backup:{number}", place, "sealed", countries))
    return found


def database_hosts(url: str) -> list[str]:
    """The hosts that an address of PostgreSQL leads to, in its order, wherever it names them; a socket and no host are
    this machine."""
    parts = urlsplit(url)
    named = [_name(each) for each in parts.netloc.rpartition("@")[2].split(",")]
    named += [host for hosts in parse_qs(parts.query).get("host", []) for host in hosts.split(",")]
    found = [unquote(host) for host in named if host]
    found = ["this_machine" if host.startswith("/") else host for host in found]
    return list(dict.fromkeys(found)) or ["this_machine"]


async def _place(key: str, host: str, holds: str, countries: Countries) -> Line:
    # In which country the desk's own machine stands, it can't find out by itself.
    known = {"this_machine": INSIDE, UNKNOWN: UNKNOWN}
    country = known.get(host) or await of_host(countries, host)
    return Line(section="places", key=key, facts={"host": host, "host_country": country, "holds": holds})


async def _retention(tx: Tx) -> list[Line]:
    settings = await desk_settings.get(tx)
    days: dict[str, int | None] = {
        **{str(kind): count for kind, count in periods.days_of(settings).items()},
        "audit": settings.audit_days or None,
        "session": settings.session_days,
    }
    return [
        Line(section="retention", key=key, facts={"days": "for_good" if count is None else str(count)})
        for key, count in days.items()
    ]


def _name(host: str) -> str:
    """A host without its port."""
    return urlsplit(f"//{host}").hostname or ""
