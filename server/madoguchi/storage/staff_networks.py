"""From which networks members of staff have called. A device keeps only where it was last; the viewing ledger tells of
ninety days. Times are milliseconds since 1970."""

import ipaddress
from collections.abc import Sequence

import msgspec

from madoguchi.ids import UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.devices import Sighting

UNKNOWN = "unknown"


class Called(msgspec.Struct, frozen=True):
    """Somebody has called from a network: /24, or /48 for IPv6; `unknown` for an address that is none."""

    user_id: UserID
    network: str


async def put(tx: Tx, sightings: Sequence[Sighting]) -> None:
    """Notes where those who are recorded were seen."""
    last = {(seen.user_id, network_of(seen.address)): seen.at for seen in sightings if seen.is_kept and seen.address}
    # In the order of the key: two workers that write at once must not wait for each other in a circle.
    ordered = sorted(last.items())
    await tx.execute(
        """
        INSERT INTO staff_networks AS known (user_id, network, last_at)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT (user_id, network) DO UPDATE SET last_at = greatest(known.last_at, excluded.last_at)
        """,
        [user_id for (user_id, _), _ in ordered],
        [network for (_, network), _ in ordered],
        [at for _, at in ordered],
    )


async def list_since(tx: Tx, at: int) -> list[Called]:
    """Who has called from where since a moment."""
    rows = await tx.fetch(
        "SELECT user_id, network FROM staff_networks WHERE last_at >= $1 ORDER BY network, user_id", at
    )
    return [Called(**row) for row in rows]


async def delete_before(tx: Tx, at: int) -> None:
    """Forgets from where nobody has called since a moment."""
    await tx.execute("DELETE FROM staff_networks WHERE last_at < $1", at)


def network_of(address: str) -> str:
    """The network that an address is of."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    return str(ipaddress.ip_network(f"{address}/{24 if found.version == 4 else 48}", strict=False))
