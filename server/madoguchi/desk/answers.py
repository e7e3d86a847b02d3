"""What a young person answers on the page while they wait."""

from madoguchi.core.desk import answers as rules
from madoguchi.storage.answers import Answers
from madoguchi.web.endpoint import Call


async def put_answers(call: Call, body: Answers) -> Answers:
    """Says what the caller's case is about and which school they go to, until somebody has accepted it; empty takes it
    back, or puts the questions away."""
    call.session.must_not_be_suspended()
    return await rules.put(call.tx, call.session.user_id, body)
