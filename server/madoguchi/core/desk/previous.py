"""Earlier cases of the same person: for their counsellor, where the desk and the person want it so.

What is shown are days and codes; what was said stays in the rooms of those cases, and the record's words in their side
rooms. The person says yes on the page, for the case that runs, and takes it back whenever they like. Nobody is asked on
an app or at a Matrix client, so nothing is shown of who comes there.
"""

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import settings as desk_settings
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import audit, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import previous as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.previous import Earlier
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

MOST = 100


async def allow(tx: Tx, user_id: UserID, shown: bool) -> None:
    """Lets the counsellor of the running case see the person's earlier ones, or takes that back: they are told at once.

    Raises NotFound if the person has no running case, Conflict for a yes where the desk shows nothing.
    """
    found = await stored_cases.get_running_case(tx, user_id)
    case = None if found is None else await stored_cases.lock_case(tx, found.id)
    if case is None or not case.running:
        raise errors.NotFound("You have no case here.")
    if shown and not (await desk_settings.get(tx)).shows_previous:
        raise errors.Conflict("This desk shows no earlier cases.")
    if shown != await stored.is_shown(tx, case.id):
        await stored.update_shown(tx, case.id, shown)
        await stream.publish(tx, Note("desk", "queue"))


async def read(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> list[Earlier]:
    """The earlier cases of whoever the case is of, the newest first; each look stands in the audit log.

    For whoever looks after the running case, not for helpers or whoever leads the shift. Raises NotAllowed, also where
    the desk or the person does not want it; NotFound.
    """
    # Held, so that nobody reads what is being taken back.
    case = await stored_cases.lock_case(tx, case_id)
    if case is None or case.state == "purged":
        raise errors.NotFound("There is no such case.")
    if not case.running or await stored_cases.get_part(tx, case_id, by.user_id) != "counsellor":
        raise errors.NotAllowed("Only whoever looks after this case may see earlier ones.")
    if not (await desk_settings.get(tx)).shows_previous or not await stored.is_shown(tx, case_id):
        raise errors.NotAllowed("The earlier cases of this person are not shown.")
    await audit.append(tx, ctx.clock.now(), by.user_id, "previous.read", case_id)
    return await stored.list_earlier(tx, case.user_id, case.arrived_at, MOST)
