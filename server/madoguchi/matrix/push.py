"""Push rules, pushers and notifications (client-server API, "Push Notifications")."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import notifications, push_rules, pushers, pushing
from madoguchi.storage.default_push_rules import Rule, RuleSet
from madoguchi.storage.push import Pusher
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


# -- rules ------------------------------------------------------------------------------------------------------------
async def get_push_rules(call: Call) -> Json:
    return {"global": await push_rules.get_all(call.tx, call.session.user_id)}


async def get_push_rules_global(call: Call) -> RuleSet:
    return await push_rules.get_all(call.tx, call.session.user_id)


async def get_push_rule(call: Call, kind: str, rule_id: str) -> Rule:
    return await push_rules.get(call.tx, call.session.user_id, kind, rule_id)


async def delete_push_rule(call: Call, kind: str, rule_id: str) -> Json:
    await push_rules.delete(call.tx, call.session.user_id, kind, rule_id)
    return {}


class SetPushRule(msgspec.Struct):
    actions: list[str | Json]
    conditions: list[Json] | None = None
    pattern: str | None = None


class Place(msgspec.Struct):
    before: str | None = None
    after: str | None = None


async def set_push_rule(call: Call, kind: str, rule_id: str, body: SetPushRule, query: Place) -> Json:
    await push_rules.put(
        call.tx,
        call.session.user_id,
        kind,
        rule_id,
        actions=body.actions,
        conditions=body.conditions,
        pattern=body.pattern,
        before=query.before,
        after=query.after,
    )
    return {}


class Enabled(msgspec.Struct):
    enabled: bool


class Actions(msgspec.Struct):
    actions: list[str | Json]


async def is_push_rule_enabled(call: Call, kind: str, rule_id: str) -> Enabled:
    return Enabled((await push_rules.get(call.tx, call.session.user_id, kind, rule_id)).enabled)


async def set_push_rule_enabled(call: Call, kind: str, rule_id: str, body: Enabled) -> Json:
    await push_rules.set_enabled(call.tx, call.session.user_id, kind, rule_id, body.enabled)
    return {}


async def get_push_rule_actions(call: Call, kind: str, rule_id: str) -> Actions:
    return Actions((await push_rules.get(call.tx, call.session.user_id, kind, rule_id)).actions)


async def set_push_rule_actions(call: Call, kind: str, rule_id: str, body: Actions) -> Json:
    await push_rules.set_actions(call.tx, call.session.user_id, kind, rule_id, body.actions)
    return {}


# -- pushers ----------------------------------------------------------------------------------------------------------
class PostPusher(msgspec.Struct):
    app_id: str
    pushkey: str
    kind: str | None
    app_display_name: str | None = None
    device_display_name: str | None = None
    lang: str | None = None
    data: Json | None = None
    profile_tag: str | None = None
    append: bool = False


async def get_pushers(call: Call) -> Json:
    return {"pushers": await pushers.list_all(call.tx, call.session.user_id)}


async def post_pusher(call: Call, body: PostPusher) -> Json:
    session = call.session
    if body.kind is None:
        await pushers.delete(call.tx, session.user_id, body.app_id, body.pushkey)
        return {}
    for name in ("app_display_name", "device_display_name", "lang", "data"):
        if getattr(body, name) is None:
            raise errors.MissingParam(f"A pusher needs {name!r}.")
    if body.kind == "http":
        _check_url((body.data or {}).get("url"))
    pusher = Pusher(
        app_id=body.app_id,
        pushkey=body.pushkey,
        kind=body.kind,
        app_display_name=body.app_display_name or "",
        device_display_name=body.device_display_name or "",
        lang=body.lang or "",
        data=body.data or {},
        profile_tag=body.profile_tag,
    )
    await pushers.put(call.ctx, call.tx, session.user_id, session.device_id or "", pusher, append=body.append)
    return {}


def _check_url(url: object) -> None:
    if not isinstance(url, str):
        raise errors.MissingParam("An http pusher needs data.url.")
    if pushing.origin_of(url) is None:
        raise errors.Invalid("data.url must be https://HOST/_matrix/push/v1/notify.")


# -- notifications ----------------------------------------------------------------------------------------------------
class Page(msgspec.Struct):
    from_: str | None = msgspec.field(default=None, name="from")
    limit: int | None = None
    only: str | None = None


async def get_notifications(call: Call, query: Page) -> Json:
    user_id, highlights = call.session.user_id, query.only == "highlight"
    found, token = await notifications.list_some(call.ctx, call.tx, user_id, query.from_, query.limit, highlights)
    return {"notifications": found} if token is None else {"notifications": found, "next_token": token}
