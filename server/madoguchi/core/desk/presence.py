"""Who takes cases, and who of them is there."""

from datetime import datetime, timedelta

from madoguchi.storage.staff import Staff

# A console asks again at the latest after its long poll; a little more than that and nobody sits in front of it.
PRESENT_FOR = timedelta(seconds=90)


def may_counsel(staff: Staff) -> bool:
    """Whether a member of staff takes cases at all."""
    return staff.disabled_at is None and staff.role != "auditor" and staff.capacity > 0


def is_present(staff: Staff, at: datetime) -> bool:
    """Whether their console was open just before a moment, and they are not on a break."""
    return (
        staff.disabled_at is None
        and staff.away_since is None
        and staff.last_seen_at is not None
        and at - staff.last_seen_at <= PRESENT_FOR
    )
