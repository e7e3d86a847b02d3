"""How often which process called which host, by day. Never what it asked there."""

from collections.abc import Mapping
from datetime import date

import msgspec

from madoguchi.storage.db import Tx


class Contact(msgspec.Struct, frozen=True):
    """Requests of a process to a host."""

    process: str
    host: str
    requests: int


async def add(tx: Tx, day: date, process: str, requests: Mapping[str, int]) -> None:
    """Adds to what is counted of a day."""
    ordered = sorted(requests.items())
    await tx.execute(
        """
        INSERT INTO egress_counts (day, process, host, requests)
        SELECT $1, $2, host, requests FROM unnest($3::text[], $4::bigint[]) AS given (host, requests)
        ON CONFLICT (day, process, host) DO UPDATE SET requests = egress_counts.requests + excluded.requests
        """,
        day,
        process,
        [host for host, _ in ordered],
        [count for _, count in ordered],
    )


async def list_since(tx: Tx, first: date) -> list[Contact]:
    """What was counted from a day on."""
    rows = await tx.fetch(
        """
        SELECT process, host, sum(requests)::bigint AS requests FROM egress_counts
        WHERE day >= $1 GROUP BY process, host ORDER BY process, host
        """,
        first,
    )
    return [Contact(**row) for row in rows]


async def delete_before(tx: Tx, first: date) -> None:
    """Forgets what is older."""
    await tx.execute("DELETE FROM egress_counts WHERE day < $1", first)
