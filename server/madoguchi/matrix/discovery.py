"""What this server is and can do: chapters "Server discovery", "Capabilities negotiation", "Voice over IP"."""

from typing import Any

from madoguchi.core.chat import accounts, appservices
from madoguchi.core.chat.room_versions import DEFAULT, VERSIONS
from madoguchi.storage import accounts as store
from madoguchi.web.endpoint import Call

SPEC_VERSIONS = [f"v1.{minor}" for minor in range(1, 20)]
# Names that clients looked for before these things had their place in the specification.
UNSTABLE_FEATURES = {
    "org.matrix.e2e_cross_signing": True,
    "org.matrix.msc3440.stable": True,
    "org.matrix.msc3916.stable": True,
    "org.matrix.simplified_msc3575": True,
    "uk.tcpip.msc4133": True,
    "uk.tcpip.msc4133.stable": True,
}


async def get_wellknown(call: Call) -> dict[str, Any]:
    return {"m.homeserver": {"base_url": call.ctx.settings.base_url}}


async def get_wellknown_support(call: Call) -> dict[str, Any]:
    return {"support_page": f"{call.ctx.settings.base_url}/guidance/"}


async def get_versions(call: Call) -> dict[str, Any]:
    return {"versions": SPEC_VERSIONS, "unstable_features": UNSTABLE_FEATURES}


async def get_capabilities(call: Call) -> dict[str, Any]:
    account = await store.get_account(call.tx, call.session.user_id)
    has_password = account is not None and account.password_hash is not None
    capabilities: dict[str, Any] = {
        "m.change_password": {"enabled": has_password},
        "m.room_versions": {"default": DEFAULT, "available": dict.fromkeys(VERSIONS, "stable")},
        "m.set_displayname": {"enabled": True},
        "m.set_avatar_url": {"enabled": True},
        "m.profile_fields": {"enabled": True},
        "m.3pid_changes": {"enabled": False},
        "m.get_login_token": {"enabled": True},
        "m.forget_forced_upon_leave": {"enabled": False},
    }
    if await accounts.is_administrator(call.tx, call.session.user_id):
        capabilities["m.account_moderation"] = {"lock": True, "suspend": True}
    return {"capabilities": capabilities}


async def get_turn_server(call: Call) -> dict[str, Any]:
    # No calls are relayed here; an empty object is what clients understand as that.
    return {}


async def ping_appservice(call: Call, appservice_id: str, body: dict[str, Any]) -> dict[str, Any]:
    transaction_id = body.get("transaction_id")
    return {
        "duration_ms": await appservices.ping(
            call.ctx, call.session, appservice_id, transaction_id if isinstance(transaction_id, str) else None
        )
    }
