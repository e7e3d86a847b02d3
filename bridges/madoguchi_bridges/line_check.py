"""How a LINE account is set up, as far as LINE tells: each step of docs/line.md looked at with LINE itself."""

from collections.abc import Awaitable, Callable
from typing import Any

from linebot.v3.messaging.models import TestWebhookEndpointRequest

from .network import Finding, Quota, Rejected

Ask = Callable[..., Awaitable[Any]]
"""One call of the API by the name of its operation. Raises TryAgain, Rejected."""

# Our listener's own answers, as LINE passes them on: what is wrong then is at our side.
STATUSES = {403: "signature", 404: "not_ours", 502: "proxy", 503: "database"}
REASONS = {"COULD_NOT_CONNECT": "not_reached", "REQUEST_TIMEOUT": "too_slow"}


async def check(ask: Ask, quota: Callable[[], Awaitable[Quota]], webhook_url: str) -> list[Finding]:
    """As Checked."""
    try:
        bot = await ask("get_bot_info")
    except Rejected as rejected:
        if rejected.reason != "unauthorized":
            raise
        return [Finding("token", "wrong", "unauthorized")]
    found = [Finding("token", "good", value=f"{bot.display_name} {bot.basic_id}")]
    found += await _webhook(ask, webhook_url)
    # Redelivery, auto-reply and greeting messages: no operation of LINE's tells.
    found.append(Finding("console", "look"))
    month = await quota()
    spent = month.limit is not None and month.used >= month.limit
    value = f"{month.used} / {month.limit}" if month.limit is not None else str(month.used)
    found.append(Finding("quota", "wrong" if spent else "good", "spent" if spent else "", value))
    return found


async def _webhook(ask: Ask, webhook_url: str) -> list[Finding]:
    if not webhook_url.startswith("https://"):
        return [Finding("address", "wrong", "no_https", webhook_url)]
    try:
        set_up = await ask("get_webhook_endpoint")
    except Rejected as rejected:
        if rejected.status != 404:
            raise
        return [Finding("address", "wrong", "not_set", webhook_url)]
    if set_up.endpoint != webhook_url:
        return [Finding("address", "wrong", "elsewhere", webhook_url)]
    found = [Finding("address", "good", value=webhook_url)]
    found.append(Finding("active", "good") if set_up.active else Finding("active", "wrong", "inactive"))
    # LINE calls the listener, signed, with an empty list of events: the secret is tried as well.
    tried = await ask("test_webhook_endpoint", TestWebhookEndpointRequest(endpoint=webhook_url))
    if tried.success:
        found.append(Finding("test", "good"))
    else:
        why = REASONS.get(tried.reason) or STATUSES.get(tried.status_code, "failed")
        found.append(Finding("test", "wrong", why))
    return found
