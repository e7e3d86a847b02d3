"""The lines of the viewing ledger that are looked up or counted: roles of the database, hosts that were called, where
staff sign in from, who has opened what."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from madoguchi.context import Context
from madoguchi.core.desk import ledger_lines
from madoguchi.core.desk.countries import UNKNOWN, Countries
from madoguchi.core.desk.hours import TOKYO
from madoguchi.core.desk.ledger_lines import Line
from madoguchi.storage import channels, egress, roles, staff_networks
from madoguchi.storage import ledger_probes as probes
from madoguchi.storage.db import Tx
from madoguchi.storage.grants import PROCESSES

ACCESS_DAYS = 90
_VAULT_ACTS = ["vault.opened", "vault.keys_given"]
_EXPORT_ACTS = ["audit.exported", "statistics.exported"]


async def list_probed(ctx: Context, tx: Tx, countries: Countries) -> list[Line]:
    """Everything that was found by looking."""
    return [
        *await _database(tx, countries),
        *await _contacted(ctx, tx),
        *await _roles(tx),
        *await _entrances(tx),
        *await _connected(tx, countries),
        *await _logins(ctx, tx, countries),
        *await _access(ctx, tx),
    ]


async def _database(tx: Tx, countries: Countries) -> list[Line]:
    """Where the server stands that has answered, whatever names and proxies led to it; nothing over a socket."""
    address = await probes.get_server_address(tx)
    if address is None:
        return []
    facts = {"host": address, "host_country": countries.of_address(address), "holds": "sealed"}
    return [Line(section="places", key="database:found", facts=facts, source="probed")]


async def _contacted(ctx: Context, tx: Tx) -> list[Line]:
    """What was called yesterday and today. That a host on the list was called is no news; that another was, is."""
    hosts = list(ledger_lines.allowed(ctx, await channels.list_channels(tx)))
    yesterday = ctx.clock.now().astimezone(TOKYO).date() - timedelta(days=1)
    found: list[Line] = []
    for contact in await egress.list_since(tx, yesterday):
        fine = ledger_lines.is_allowed(contact.host, hosts)
        found.append(
            Line(
                section="contacted",
                key=f"{contact.process}:{contact.host}",
                facts={"on_the_list": "yes" if fine else "no"},
                counts={"requests": contact.requests},
                source="counted",
                watched=not fine,
            )
        )
    return found


async def _roles(tx: Tx) -> list[Line]:
    found = [
        Line(
            section="roles",
            key=role.name,
            facts={
                "ours": _yes(role.is_ours),
                "superuser": _yes(role.superuser),
                "let_in": _yes(role.connects),
                "tables": _extent(role.readable, role.tables),
                "written": _extent(role.writable, role.tables),
                "alters_log": _yes(role.alters_log),
            },
            source="probed",
        )
        for role in await probes.list_roles(tx)
    ]
    separate = _yes(set(PROCESSES) <= (await roles.list_made(tx)).keys())
    return [*found, Line(section="roles", key="each_process", facts={"separate": separate}, source="probed")]


def _extent(readable: int, of: int) -> str:
    return "all" if readable == of else "some" if readable else "none"


async def _entrances(tx: Tx) -> list[Line]:
    """pg_hba.conf, copies that are made as it is written, and the archive."""
    rules = await probes.list_entrances(tx)
    if rules is None:
        found = [Line(section="entrances", key="rules", facts={"rules": UNKNOWN}, source="probed")]
    else:
        by_key = {" ".join((rule.kind, rule.databases, rule.roles, rule.address or "-")): rule for rule in rules}
        found = [
            Line(section="entrances", key=key, facts={"method": rule.method}, source="probed")
            for key, rule in by_key.items()
        ]
    copies = await probes.list_copies(tx)
    if copies is None:
        found.append(Line(section="entrances", key="copies", facts={"copies": UNKNOWN}, source="probed"))
    else:
        by_place = {f"copy:{copy.name}@{copy.address}" for copy in copies}
        found += [Line(section="entrances", key=key, facts={"copies": "yes"}, source="probed") for key in by_place]
    archived = _yes(await probes.is_archived(tx))
    found.append(Line(section="entrances", key="archive", facts={"archived": archived}, source="probed"))
    return sorted(found, key=lambda line: line.key)


async def _connected(tx: Tx, countries: Countries) -> list[Line]:
    connected = await probes.list_connected(tx)
    if connected is None:
        return [Line(section="connected", key="everybody", facts={"connected": UNKNOWN}, source="probed")]
    return [
        Line(
            section="connected",
            key=f"{each.role}@{each.address or 'this_machine'}",
            facts={"host_country": countries.of_address(each.address) if each.address else "inside"},
            counts={"connections": each.connections},
            source="probed",
        )
        for each in connected
    ]


async def _logins(ctx: Context, tx: Tx, countries: Countries) -> list[Line]:
    """From which countries, and which networks in them. A new country is news, a new network is not: phones move."""
    since = ctx.clock.now() - timedelta(days=ACCESS_DAYS)
    by_country: dict[str, set[str]] = {}
    by_network: dict[tuple[str, str], int] = Counter()
    for each in await staff_networks.list_since(tx, int(since.timestamp() * 1000)):
        country = countries.of_address(each.network.partition("/")[0])
        by_country.setdefault(country, set()).add(each.user_id)
        by_network[country, each.network] += 1
    found = [
        Line(
            section="logins",
            key=country,
            facts={"host_country": country},
            counts={"people": len(people)},
            source="probed",
        )
        for country, people in sorted(by_country.items())
    ]
    return found + [
        Line(
            section="logins",
            key=f"{country}:{network}",
            facts={"host_country": country},
            counts={"people": count},
            source="probed",
            watched=False,
        )
        for (country, network), count in sorted(by_network.items())
    ]


async def _access(ctx: Context, tx: Tx) -> list[Line]:
    since = ctx.clock.now() - timedelta(days=ACCESS_DAYS)
    found = [
        _counted(each.role, {
            "people": each.people, "cases": each.cases, "joined": each.joined, "records": each.records,
            "side_rooms": each.side_rooms, "previous": each.previous, "identities": each.identities,
        })
        for each in await probes.list_access(tx, since)
    ]  # fmt: skip
    opened = await probes.count_acts(tx, _VAULT_ACTS + _EXPORT_ACTS, since)
    found.append(_counted("vault", {"openings": _sum(opened, _VAULT_ACTS)}))
    return [*found, _counted("exports", {"exports": _sum(opened, _EXPORT_ACTS)})]


def _counted(key: str, counts: dict[str, int]) -> Line:
    return Line(section="access", key=key, counts=counts, source="counted", watched=False)


def _sum(counted: dict[str, int], acts: Sequence[str]) -> int:
    return sum(counted[act] for act in acts)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
