"""What is done at which time, in Japan's time. Each line puts one job into the table, the next once that is done."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import msgspec

from madoguchi.core.desk.hours import TOKYO


class Every(msgspec.Struct, frozen=True):
    """Again and again, a span after the last time. span: `5m`, `2h`."""

    span: str
    kind: str

    def next_after(self, at: datetime) -> datetime:
        """The next time after a moment."""
        unit = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}[self.span[-1]]
        return at + int(self.span[:-1]) * unit


class Daily(msgspec.Struct, frozen=True):
    """Once a day, at `HH:MM`."""

    at: str
    kind: str

    def next_after(self, at: datetime) -> datetime:
        """The next time after a moment."""
        here = at.astimezone(TOKYO)
        today = datetime.combine(here.date(), time.fromisoformat(self.at), TOKYO)
        return today if today > here else today + timedelta(days=1)


Entry = Every | Daily

SCHEDULE: Sequence[Entry] = [
    # when          what
    Every("1m",     "switch_planned"),
    Every("1m",     "tidy_resting"),
    Every("10m",    "forget_arrivals"),
    Every("10m",    "forget_sightings"),
    Every("10m",    "forget_proofs"),
    Every("10m",    "forget_interactive_auth"),
    Every("10m",    "forget_login_tokens"),
    Every("1h",     "forget_admin_links"),
    Every("1h",     "forget_move_links"),
    Every("1h",     "forget_reserved_media"),
    Every("1h",     "remove_files"),
    Every("1h",     "tidy_side_rooms"),
    Every("1h",     "forget_copied_keys"),
    Every("1h",     "grant_wishes"),
    Every("1h",     "forget_staff_commands"),
    Daily("03:20",  "check_events"),
    Daily("03:30",  "check_vault"),
    Daily("03:40",  "check_audit_log"),
    Daily("03:45",  "check_bridges"),
    Daily("03:48",  "make_ledger"),
    Daily("03:50",  "sign_audit_log"),
    Daily("04:00",  "purge_old_cases"),
    Daily("04:05",  "cut_audit_log"),
    Daily("04:10",  "forget_transactions"),
    Daily("04:20",  "forget_sliding_states"),
    Daily("04:30",  "forget_abandoned_sessions"),
]  # fmt: skip
