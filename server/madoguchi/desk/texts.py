"""The texts of the young person's page that an administrator words for the desk."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import texts
from madoguchi.storage import texts as stored
from madoguchi.storage.replies import Language
from madoguchi.web.endpoint import Call


class OwnText(msgspec.Struct, frozen=True):
    """changed_at: milliseconds."""

    text: str
    changed_by: str
    changed_at: int


class ChangeableText(msgspec.Struct, frozen=True):
    """longest: in characters. own: what stands in the place of the page's words, by language."""

    key: str
    longest: int
    own: dict[Language, OwnText]


class Texts(msgspec.Struct, frozen=True):
    """Every text that can be worded anew, in the order in which a young person meets them."""

    texts: list[ChangeableText]


class PutText(msgspec.Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=4000)]


async def list_texts(call: Call) -> Texts:
    """What of the young person's page can be worded anew, and what the desk has worded."""
    found: dict[str, dict[Language, OwnText]] = {key: {} for key in texts.LONGEST}
    for each in await stored.list_texts(call.tx):
        if each.key in found:
            at = round(each.changed_at.timestamp() * 1000)
            found[each.key][each.language] = OwnText(each.text, each.changed_by, at)
    return Texts([ChangeableText(key, texts.LONGEST[key], own) for key, own in found.items()])


async def put_text(call: Call, key: str, language: str, body: PutText) -> Texts:
    """Words one text in one language: plain, one paragraph, `{desk}` for the desk's name. Gives the whole list."""
    await texts.put(call.tx, key, _language(language), body.text, call.session.user_id, call.ctx.clock.now())
    return await list_texts(call)


async def reset_text(call: Call, key: str, language: str) -> Texts:
    """Goes back to the page's own words."""
    await texts.reset(call.tx, key, _language(language), call.session.user_id, call.ctx.clock.now())
    return await list_texts(call)


def _language(code: str) -> Language:
    try:
        language: Language = msgspec.convert(code, Language)
    except msgspec.ValidationError:
        raise errors.NotFound("The page does not speak that language.") from None
    return language
