"""Teams: named groups of staff, to which a case can be handed over instead of to one person.

Such a case waits again, at its old place, and is shown to the team: whoever of it takes it first has it. Whoever handed
it over stays in the room until then. So that nobody waits for people who are not there, it is shown to everybody while
nobody of the team is present; whoever leads the shift sees it at any time.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from madoguchi import errors
from madoguchi.core.desk.presence import is_present, may_counsel
from madoguchi.core.desk.settings import DeskSettings, Team
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff

LEADS = ("supervisor", "administrator")


def as_heir(team_id: str) -> str:
    """How a team stands where otherwise the user id of a successor does."""
    return f"team:{team_id}"


class Shown(msgspec.Struct, frozen=True):
    """A team as whoever hands over sees it. size: how many of it take cases; present: how many of these are there."""

    id: str
    name: str
    size: int
    present: int


async def check(tx: Tx, teams: Sequence[Team]) -> None:
    """Raises Invalid unless every member works here, and no two teams are called alike."""
    for what, names in (("id", [team.id for team in teams]), ("name", [team.name.strip() for team in teams])):
        if len(set(names)) < len(names) or "" in names:
            raise errors.Invalid(f"Every team has a {what} of its own.")
    known = {member.user_id for member in await stored_staff.list_staff(tx)}
    if any(set(team.members) - known for team in teams):
        raise errors.Invalid("The members of a team are staff of this desk.")


def shown(settings: DeskSettings, people: Iterable[Staff], at: datetime) -> list[Shown]:
    """The teams that somebody belongs to who takes cases."""
    by_id = {person.user_id: person for person in people if may_counsel(person)}
    found = []
    for team in settings.teams:
        members = [by_id[user_id] for user_id in set(team.members) if user_id in by_id]
        if members:
            there = sum(is_present(member, at) for member in members)
            found.append(Shown(team.id, team.name, len(members), there))
    return found


class Reach:
    """Whom a team's case is shown to, at a moment."""

    def __init__(self, settings: DeskSettings, people: Iterable[Staff], at: datetime) -> None:
        self._teams: Mapping[str, Team] = {team.id: team for team in settings.teams}
        self._present = {each.user_id for each in people if may_counsel(each) and is_present(each, at)}

    def name(self, team_id: str | None) -> str | None:
        """What a team is called; None for no team, and for one that is no more."""
        team = self._teams.get(team_id or "")
        return None if team is None else team.name

    def includes(self, person: Staff, team_id: str | None) -> bool:
        """Whether somebody sees a case that waits for a team, and may take it."""
        team = self._teams.get(team_id or "")
        if team is None or person.user_id in team.members or person.role in LEADS:
            return True
        return self._present.isdisjoint(team.members)


async def reach(tx: Tx, settings: DeskSettings, at: datetime) -> Reach:
    """The reach of all teams now."""
    return Reach(settings, await stored_staff.list_staff(tx), at)
