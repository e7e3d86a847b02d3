"""The desk's risk words: for the staff's browsers, which look for them; set by administrators."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import risk_words
from madoguchi.core.desk.risk_words import RiskWords
from madoguchi.storage.risk_words import RiskWord
from madoguchi.web.endpoint import Call


class PutRiskWords(msgspec.Struct, forbid_unknown_fields=True):
    """revision: of the list that the change was made from."""

    revision: Annotated[str, Meta(max_length=64)]
    words: Annotated[list[RiskWord], Meta(max_length=risk_words.MOST)]


async def get_risk_words(call: Call) -> RiskWords:
    """The words and phrases that suggest a risk; the caller's own browser looks for them, and tells nobody."""
    return await risk_words.get(call.tx)


async def put_risk_words(call: Call, body: PutRiskWords) -> RiskWords:
    """Puts a list in the place of the one of its revision."""
    wanted = RiskWords(body.revision, body.words)
    return await risk_words.replace(call.tx, wanted, call.session.user_id, call.ctx.clock.now())
