"""The nothing-lost ledger: of each channel to an app, how many events came in and what became of each.

What came in is counted at the door (`bridge_doors`), what became of it where it is worked off, so the one can be held
against the other. Nothing here tells what was said, or by whom.
"""

import msgspec

from madoguchi.storage.db import Tx


class Ledger(msgspec.Struct, frozen=True):
    """One channel, since it was connected.

    received: events that the app was told 200 for, repetitions too; repeated: those of them that were known; shown,
    placeholders: items in conversations, or items taken back; answered: words that a channel does not carry, answered
    with the way to the page, and codes that opened nothing; noted: follows, blocks and the like, and codes by which
    somebody moved here; apart: groups, other systems' turns, the account itself; waiting: not worked off yet;
    destroyed: with their case, before they could be shown.
    """

    channel_id: str
    received: int
    repeated: int
    shown: int
    placeholders: int
    answered: int
    noted: int
    apart: int
    waiting: int
    destroyed: int
    waiting_since: int | None

    @property
    def missing(self) -> int:
        """What came in and is nowhere; below zero, what is there twice. Anything but 0 is a fault."""
        found = self.shown + self.placeholders + self.answered + self.noted + self.apart + self.waiting
        return self.received - self.repeated - found - self.destroyed


async def list_ledgers(tx: Tx) -> list[Ledger]:
    """The ledger of each channel that an app has called, as it is now. waiting_since: ms since 1970."""
    rows = await tx.fetch(
        """
        WITH known AS (
            SELECT channel_id, outcome, count(*) AS events, min(received_at) AS since FROM bridge_intake GROUP BY 1, 2
            UNION ALL SELECT channel_id, outcome, events, NULL FROM bridge_forgotten)
        SELECT channel_id, received, repeated,
               coalesce(sum(events) FILTER (WHERE outcome IN ('shown', 'withdrawn')), 0)::bigint AS shown,
               coalesce(sum(events) FILTER (WHERE outcome = 'placeholder'), 0)::bigint AS placeholders,
               coalesce(sum(events) FILTER (WHERE outcome IN ('noticed', 'notice_spared')), 0)::bigint AS answered,
               coalesce(sum(events) FILTER (WHERE outcome IN ('noted', 'moved')), 0)::bigint AS noted,
               coalesce(sum(events) FILTER (WHERE outcome IN ('group', 'standby', 'account')), 0)::bigint AS apart,
               coalesce(sum(events) FILTER (WHERE outcome IS NULL), 0)::bigint AS waiting,
               coalesce(sum(events) FILTER (WHERE outcome = 'destroyed'), 0)::bigint AS destroyed,
               min(since) FILTER (WHERE outcome IS NULL) AS waiting_since
          FROM bridge_doors LEFT JOIN known USING (channel_id) GROUP BY channel_id, received, repeated
         ORDER BY channel_id
        """
    )
    return [Ledger(**row) for row in rows]


class Quota(msgspec.Struct, frozen=True):
    """What may be sent by a channel in this month, as the app said at `read_at` (ms since 1970). most: None for as much
    as one wants; reserve: how many of them the bridge keeps for danger and moves."""

    channel_id: str
    most: int | None
    used: int
    reserve: int
    read_at: int

    @property
    def is_down_to_reserve(self) -> bool:
        """Whether only what is urgent goes out any more."""
        return self.most is not None and self.most - self.used <= self.reserve


async def list_quotas(tx: Tx) -> list[Quota]:
    """Of each channel whose app counts. Where a channel does not say how much is kept, it is a tenth."""
    rows = await tx.fetch(
        """
        SELECT channel_id, most, used, read_at,
               coalesce((settings ->> 'quota_reserve')::bigint, most / 10, 0) AS reserve
          FROM bridge_quota JOIN channels ON channels.id = channel_id ORDER BY channel_id
        """
    )
    return [Quota(**row) for row in rows]


async def count_vanished(tx: Tx) -> int:
    """Events whose items, as the bridge has noted them, are in no room, and items that stand for two events."""
    vanished: int = await tx.fetchval(
        """
        WITH items AS (SELECT unnest(string_to_array(shown_as, ' ')) AS event_id FROM bridge_intake
                        WHERE shown_as IS NOT NULL)
        SELECT count(*) - count(DISTINCT items.event_id) FILTER (WHERE events.event_id IS NOT NULL)
          FROM items LEFT JOIN events USING (event_id)
        """
    )
    return vanished
