"""Two questions that a young person may answer on the page while they wait: what it is about, and which school.

They are asked after the arrival, by the page that the person has opened, and delay nothing; people on an app are asked
by a human. An answer is a code of a list and sets nothing off: how dangerous a case stands is said by a human.
"""

from madoguchi import errors
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.records import GRADES
from madoguchi.ids import UserID
from madoguchi.storage import answers as stored
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import stream
from madoguchi.storage.answers import Answers
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note


async def put(tx: Tx, user_id: UserID, answers: Answers) -> Answers:
    """Keeps what the person of a running case answers, in place of what they answered before; empty, they take it back
    or put the questions away.

    Raises NotFound if they have no running case, Conflict once somebody has accepted it and where the desk asks
    nothing, Invalid for answers that do not fit together.
    """
    _check(answers)
    found = await stored_cases.get_running_case(tx, user_id)
    case = None if found is None else await stored_cases.lock_case(tx, found.id)
    if case is None or not case.running:
        raise errors.NotFound("You have no case here.")
    if case.accepted_at is not None:
        raise errors.Conflict("Somebody has come. Please tell them.")
    if answers.given and not (await desk_settings.get(tx)).questions:
        raise errors.Conflict("This desk asks nothing.")
    if answers != await stored.get_answers(tx, case.id):
        await stored.put_answers(tx, case.id, answers)
        await stream.publish(tx, Note("desk", "queue"))
    return answers


def _check(answers: Answers) -> None:
    if len(set(answers.topics)) != len(answers.topics):
        raise errors.Invalid("topics names something twice.")
    if answers.grade is not None and answers.grade > GRADES.get(answers.school or "", 0):
        raise errors.Invalid("This school has no such grade.")
