"""The Matrix Client-Server API v1.19: the table of contents, in the order of the specification's chapters.

All 166 operations stand here. One that is not offered says why.
"""

from madoguchi import errors
from madoguchi.matrix import (
    account,
    account_data,
    admin,
    backups,
    dehydrated,
    devices,
    directory,
    discovery,
    filters,
    keys,
    login,
    media,
    membership,
    presence,
    profile,
    push,
    receipts,
    register,
    relations,
    reporting,
    rooms,
    send,
    sync,
    tags,
    to_device,
    typing,
)
from madoguchi.web.endpoint import ALSO, ANYONE, APPSERVICE, DELETE, GET, OPTIONAL, POST, PUT, REFUSED, Row

V1 = "/_matrix/client/v1"
V3 = "/_matrix/client/v3"
MEDIA = "/_matrix/media/v3"
MSC3814 = "/_matrix/client/unstable/org.matrix.msc3814.v1"
NO_SSO = "There is no single sign-on."
NO_PREVIEWS = "Previews would tell other sites what people write about."
NO_LOOKUPS = "No third-party network is looked up here."
NO_ADDRESSES = "No e-mail addresses or telephone numbers are kept here."


def PENDING(method: str, path: str, operation: str) -> Row:
    return REFUSED(method, path, operation, "pending")


# One row a line, as in the specification.
# fmt: off
CHAPTERS: dict[str, list[Row]] = {
    "Server discovery": [
        GET("/.well-known/matrix/client", discovery.get_wellknown, who=ANYONE, tx=False),
        GET("/.well-known/matrix/support", discovery.get_wellknown_support, who=ANYONE, tx=False),
        REFUSED("GET", "/.well-known/matrix/policy_server", "getWellknownPolicy", "There is no policy server: nothing is federated.", errors.NotFound),
        GET("/_matrix/client/versions", discovery.get_versions, who=ANYONE, tx=False),
    ],
    "Client authentication": [
        REFUSED("GET", V1 + "/auth_metadata", "getAuthMetadata", "Sign-in is by the legacy API; there is no OAuth 2.0 server."),
        GET(V3 + "/login", login.get_login_flows, who=ANYONE, tx=False),
        POST(V3 + "/login", login.login, who=ANYONE, tx=False, limit="login"),
        POST(V1 + "/login/get_token", login.generate_login_token, tx=False),
        REFUSED("GET", V3 + "/login/sso/redirect", "redirectToSSO", NO_SSO),
        REFUSED("GET", V3 + "/login/sso/redirect/{idp_id}", "redirectToIdP", NO_SSO),
        POST(V3 + "/refresh", login.refresh, who=ANYONE, limit="login"),
        POST(V3 + "/logout", login.logout, who=ANYONE, tx=False),
        POST(V3 + "/logout/all", login.logout_all, who=ANYONE, tx=False),
        POST(V3 + "/register", register.register, who=ANYONE, tx=False),
        REFUSED("POST", V3 + "/register/email/requestToken", "requestTokenToRegisterEmail", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/register/msisdn/requestToken", "requestTokenToRegisterMSISDN", NO_ADDRESSES, errors.NotAllowed),
        GET(V3 + "/register/available", register.check_username_availability, who=ANYONE, limit="register"),
        GET(V1 + "/register/m.login.registration_token/validity", register.registration_token_validity, who=ANYONE, tx=False, limit="register"),
        POST(V3 + "/account/password", account.change_password, tx=False),
        REFUSED("POST", V3 + "/account/password/email/requestToken", "requestTokenToResetPasswordEmail", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/password/msisdn/requestToken", "requestTokenToResetPasswordMSISDN", NO_ADDRESSES, errors.NotAllowed),
        POST(V3 + "/account/deactivate", account.deactivate_account, tx=False),
        GET(V3 + "/account/3pid", account.get_account_3_pids, tx=False),
        REFUSED("POST", V3 + "/account/3pid", "post3PIDs", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/add", "add3PID", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/bind", "bind3PID", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/delete", "delete3pidFromAccount", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/unbind", "unbind3pidFromAccount", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/email/requestToken", "requestTokenTo3PIDEmail", NO_ADDRESSES, errors.NotAllowed),
        REFUSED("POST", V3 + "/account/3pid/msisdn/requestToken", "requestTokenTo3PIDMSISDN", NO_ADDRESSES, errors.NotAllowed),
        GET(V3 + "/account/whoami", account.get_token_owner, tx=False),
    ],
    "Capabilities": [
        GET(V3 + "/capabilities", discovery.get_capabilities),
    ],
    "Filtering": [
        POST(V3 + "/user/{user_id}/filter", filters.define_filter, limit="keep"),
        GET(V3 + "/user/{user_id}/filter/{filter_id}", filters.get_filter),
    ],
    "Syncing": [
        GET(V3 + "/sync", sync.sync, tx=False),
        REFUSED("GET", V3 + "/events", "getEvents", "replaced by sync"),
        REFUSED("GET", V3 + "/initialSync", "initialSync", "replaced by sync"),
        REFUSED("GET", V3 + "/events/{event_id}", "getOneEvent", "replaced by /rooms/{roomId}/event/{eventId}"),
    ],
    "Getting events for a room": [
        GET(V3 + "/rooms/{room_id}/event/{event_id}", rooms.get_one_room_event),
        GET(V3 + "/rooms/{room_id}/state/{event_type}/{state_key}", rooms.get_room_state_with_key),
        GET(V3 + "/rooms/{room_id}/state/{event_type}", rooms.get_room_state_with_key),
        GET(V3 + "/rooms/{room_id}/state/{event_type}/", rooms.get_room_state_with_key),
        GET(V3 + "/rooms/{room_id}/state", rooms.get_room_state),
        GET(V3 + "/rooms/{room_id}/members", rooms.get_members_by_room),
        GET(V3 + "/rooms/{room_id}/joined_members", rooms.get_joined_members_by_room),
        GET(V3 + "/rooms/{room_id}/messages", rooms.get_room_events),
        GET(V1 + "/rooms/{room_id}/timestamp_to_event", rooms.get_event_by_timestamp),
        REFUSED("GET", V3 + "/rooms/{room_id}/initialSync", "roomInitialSync", "replaced by sync"),
        ALSO("GET", V3 + "/events", "peekEvents", "answered by getEvents"),
    ],
    "Sending events to a room": [
        PUT(V3 + "/rooms/{room_id}/state/{event_type}/{state_key}", send.set_room_state_with_key, limit="message"),
        PUT(V3 + "/rooms/{room_id}/state/{event_type}", send.set_room_state_with_key, limit="message"),
        PUT(V3 + "/rooms/{room_id}/state/{event_type}/", send.set_room_state_with_key, limit="message"),
        PUT(V3 + "/rooms/{room_id}/send/{event_type}/{txn_id}", send.send_message, tx=False, limit="message"),
    ],
    "Redactions": [
        PUT(V3 + "/rooms/{room_id}/redact/{event_id}/{txn_id}", send.redact_event, limit="message"),
    ],
    "Relationships": [
        GET(V1 + "/rooms/{room_id}/relations/{event_id}", relations.get_relating_events),
        GET(V1 + "/rooms/{room_id}/relations/{event_id}/{rel_type}", relations.get_relating_events),
        GET(V1 + "/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}", relations.get_relating_events),
        GET(V1 + "/rooms/{room_id}/threads", relations.get_thread_roots),
    ],
    "Rooms": [
        POST(V3 + "/createRoom", rooms.create_room, limit="room"),
        PUT(V3 + "/directory/room/{room_alias}", directory.set_room_alias),
        GET(V3 + "/directory/room/{room_alias}", directory.get_room_id_by_alias, who=ANYONE),
        DELETE(V3 + "/directory/room/{room_alias}", directory.delete_room_alias),
        GET(V3 + "/rooms/{room_id}/aliases", directory.get_local_aliases),
    ],
    "Room membership": [
        GET(V3 + "/joined_rooms", rooms.get_joined_rooms),
        POST(V3 + "/rooms/{room_id}/invite", membership.invite_user, limit="invite"),
        ALSO("POST", V3 + "/rooms/{room_id}/invite", "inviteBy3PID", "answered by inviteUser, which refuses third-party ids"),
        POST(V3 + "/rooms/{room_id}/join", membership.join_room_by_id),
        POST(V3 + "/join/{room_id_or_alias}", membership.join_room),
        POST(V3 + "/knock/{room_id_or_alias}", membership.knock_room),
        POST(V3 + "/rooms/{room_id}/leave", membership.leave_room),
        POST(V3 + "/rooms/{room_id}/forget", membership.forget_room),
        POST(V3 + "/rooms/{room_id}/kick", membership.kick),
        POST(V3 + "/rooms/{room_id}/ban", membership.ban),
        POST(V3 + "/rooms/{room_id}/unban", membership.unban),
        GET(V3 + "/directory/list/room/{room_id}", directory.get_room_visibility_on_directory, who=ANYONE),
        PUT(V3 + "/directory/list/room/{room_id}", directory.set_room_visibility_on_directory),
        GET(V3 + "/publicRooms", directory.get_public_rooms, who=OPTIONAL),
        POST(V3 + "/publicRooms", directory.query_public_rooms),
        GET(V1 + "/room_summary/{room_id_or_alias}", directory.get_room_summary, who=OPTIONAL),
        REFUSED("GET", V1 + "/mutual_rooms", "getMutualRooms", "who shares which room is nobody else's business"),
    ],
    "User data": [
        POST(V3 + "/user_directory/search", profile.search_user_directory, limit="search"),
        PUT(V3 + "/profile/{user_id}/{key_name}", profile.set_profile_field, max_body=128 * 1024, limit="profile"),
        GET(V3 + "/profile/{user_id}/{key_name}", profile.get_profile_field, who=OPTIONAL),
        DELETE(V3 + "/profile/{user_id}/{key_name}", profile.delete_profile_field, limit="profile"),
        GET(V3 + "/profile/{user_id}", profile.get_user_profile, who=OPTIONAL),
    ],
    "Typing, receipts and read markers": [
        PUT(V3 + "/rooms/{room_id}/typing/{user_id}", typing.set_typing, limit="mark"),
        POST(V3 + "/rooms/{room_id}/receipt/{receipt_type}/{event_id}", receipts.post_receipt, limit="mark"),
        POST(V3 + "/rooms/{room_id}/read_markers", receipts.set_read_marker, limit="mark"),
    ],
    "Presence": [
        PUT(V3 + "/presence/{user_id}/status", presence.set_presence),
        GET(V3 + "/presence/{user_id}/status", presence.get_presence),
    ],
    "Content repository": [
        POST(MEDIA + "/upload", media.upload_content, tx=False, limit="upload"),
        PUT(MEDIA + "/upload/{server_name}/{media_id}", media.upload_content_to_mxc, tx=False, limit="upload"),
        POST("/_matrix/media/v1/create", media.create_content, tx=False, limit="upload"),
        GET(MEDIA + "/download/{server_name}/{media_id}", media.get_content, who=ANYONE, tx=False),
        GET(MEDIA + "/download/{server_name}/{media_id}/{file_name}", media.get_content_override_name, who=ANYONE, tx=False),
        GET(MEDIA + "/thumbnail/{server_name}/{media_id}", media.get_content_thumbnail, who=ANYONE, tx=False),
        REFUSED("GET", MEDIA + "/preview_url", "getUrlPreview", NO_PREVIEWS, errors.NotAllowed),
        GET(MEDIA + "/config", media.get_config_authed, tx=False),
        GET(V1 + "/media/download/{server_name}/{media_id}", media.get_content_authed, tx=False),
        GET(V1 + "/media/download/{server_name}/{media_id}/{file_name}", media.get_content_override_name_authed, tx=False),
        GET(V1 + "/media/thumbnail/{server_name}/{media_id}", media.get_content_thumbnail_authed, tx=False),
        REFUSED("GET", V1 + "/media/preview_url", "getUrlPreviewAuthed", NO_PREVIEWS, errors.NotAllowed),
        GET(V1 + "/media/config", media.get_config_authed, tx=False),
    ],
    "Send-to-device": [
        PUT(V3 + "/sendToDevice/{event_type}/{txn_id}", to_device.send_to_device, limit="device message"),
    ],
    "Device management": [
        GET(V3 + "/devices", devices.get_devices),
        GET(V3 + "/devices/{device_id}", devices.get_device),
        PUT(V3 + "/devices/{device_id}", devices.update_device),
        DELETE(V3 + "/devices/{device_id}", devices.delete_device, tx=False),
        POST(V3 + "/delete_devices", devices.delete_devices, tx=False),
    ],
    "End-to-end encryption": [
        POST(V3 + "/keys/upload", keys.upload_keys, limit="keep"),
        POST(V3 + "/keys/query", keys.query_keys),
        POST(V3 + "/keys/claim", keys.claim_keys, limit="claim"),
        GET(V3 + "/keys/changes", keys.get_keys_changes),
        POST(V3 + "/keys/device_signing/upload", keys.upload_cross_signing_keys, tx=False, limit="keep"),
        POST(V3 + "/keys/signatures/upload", keys.upload_cross_signing_signatures, limit="keep"),
        POST(V3 + "/room_keys/version", backups.post_room_keys_version, limit="keep"),
        GET(V3 + "/room_keys/version", backups.get_room_keys_version_current),
        GET(V3 + "/room_keys/version/{version}", backups.get_room_keys_version),
        PUT(V3 + "/room_keys/version/{version}", backups.put_room_keys_version, limit="keep"),
        DELETE(V3 + "/room_keys/version/{version}", backups.delete_room_keys_version, limit="keep"),
        PUT(V3 + "/room_keys/keys/{room_id}/{session_id}", backups.put_room_key_by_session_id, limit="keep"),
        GET(V3 + "/room_keys/keys/{room_id}/{session_id}", backups.get_room_key_by_session_id),
        DELETE(V3 + "/room_keys/keys/{room_id}/{session_id}", backups.delete_room_key_by_session_id, limit="keep"),
        PUT(V3 + "/room_keys/keys/{room_id}", backups.put_room_keys_by_room_id, limit="keep"),
        GET(V3 + "/room_keys/keys/{room_id}", backups.get_room_keys_by_room_id),
        DELETE(V3 + "/room_keys/keys/{room_id}", backups.delete_room_keys_by_room_id, limit="keep"),
        PUT(V3 + "/room_keys/keys", backups.put_room_keys, limit="keep"),
        GET(V3 + "/room_keys/keys", backups.get_room_keys),
        DELETE(V3 + "/room_keys/keys", backups.delete_room_keys, limit="keep"),
    ],
    "Push notifications": [
        GET(V3 + "/pushers", push.get_pushers),
        POST(V3 + "/pushers/set", push.post_pusher, limit="keep"),
        GET(V3 + "/pushrules/", push.get_push_rules),
        GET(V3 + "/pushrules/global/", push.get_push_rules_global),
        GET(V3 + "/pushrules/global/{kind}/{rule_id}", push.get_push_rule),
        DELETE(V3 + "/pushrules/global/{kind}/{rule_id}", push.delete_push_rule, limit="keep"),
        PUT(V3 + "/pushrules/global/{kind}/{rule_id}", push.set_push_rule, limit="keep"),
        GET(V3 + "/pushrules/global/{kind}/{rule_id}/enabled", push.is_push_rule_enabled),
        PUT(V3 + "/pushrules/global/{kind}/{rule_id}/enabled", push.set_push_rule_enabled, limit="keep"),
        GET(V3 + "/pushrules/global/{kind}/{rule_id}/actions", push.get_push_rule_actions),
        PUT(V3 + "/pushrules/global/{kind}/{rule_id}/actions", push.set_push_rule_actions, limit="keep"),
        GET(V3 + "/notifications", push.get_notifications),
    ],
    "Search and event context": [
        REFUSED("POST", V3 + "/search", "search", "the server cannot read what it would search"),
        GET(V3 + "/rooms/{room_id}/context/{event_id}", rooms.get_event_context),
    ],
    "Tagging and account data": [
        GET(V3 + "/user/{user_id}/rooms/{room_id}/tags", tags.get_room_tags),
        PUT(V3 + "/user/{user_id}/rooms/{room_id}/tags/{tag}", tags.set_room_tag, limit="keep"),
        DELETE(V3 + "/user/{user_id}/rooms/{room_id}/tags/{tag}", tags.delete_room_tag, limit="keep"),
        PUT(V3 + "/user/{user_id}/account_data/{type}", account_data.set_account_data, limit="keep"),
        GET(V3 + "/user/{user_id}/account_data/{type}", account_data.get_account_data),
        PUT(V3 + "/user/{user_id}/rooms/{room_id}/account_data/{type}", account_data.set_account_data_per_room, limit="keep"),
        GET(V3 + "/user/{user_id}/rooms/{room_id}/account_data/{type}", account_data.get_account_data_per_room),
    ],
    "Server administration": [
        GET(V3 + "/admin/whois/{user_id}", admin.get_who_is),
        GET(V1 + "/admin/suspend/{user_id}", admin.get_admin_suspend_user),
        PUT(V1 + "/admin/suspend/{user_id}", admin.set_admin_suspend_user),
        GET(V1 + "/admin/lock/{user_id}", admin.get_admin_lock_user),
        PUT(V1 + "/admin/lock/{user_id}", admin.set_admin_lock_user),
    ],
    "Reporting content": [
        POST(V3 + "/rooms/{room_id}/report", reporting.report_room),
        POST(V3 + "/rooms/{room_id}/report/{event_id}", reporting.report_event),
        POST(V3 + "/users/{user_id}/report", reporting.report_user),
    ],
    "Third-party networks": [
        GET(V3 + "/thirdparty/protocols", discovery.get_protocols, tx=False),
        REFUSED("GET", V3 + "/thirdparty/protocol/{protocol}", "getProtocolMetadata", NO_LOOKUPS, errors.NotFound),
        REFUSED("GET", V3 + "/thirdparty/location/{protocol}", "queryLocationByProtocol", NO_LOOKUPS, errors.NotFound),
        REFUSED("GET", V3 + "/thirdparty/user/{protocol}", "queryUserByProtocol", NO_LOOKUPS, errors.NotFound),
        REFUSED("GET", V3 + "/thirdparty/location", "queryLocationByAlias", NO_LOOKUPS, errors.NotFound),
        REFUSED("GET", V3 + "/thirdparty/user", "queryUserByID", NO_LOOKUPS, errors.NotFound),
    ],
    "OpenID": [
        REFUSED("POST", V3 + "/user/{user_id}/openid/request_token", "requestOpenIdToken", "Nobody outside is told who is who."),
    ],
    "Room upgrades, spaces": [
        REFUSED("POST", V3 + "/rooms/{room_id}/upgrade", "upgradeRoom", "Rooms keep the version they were made with."),
        REFUSED("GET", V1 + "/rooms/{room_id}/hierarchy", "getSpaceHierarchy", "There are no spaces here."),
    ],
    "Voice over IP": [
        GET(V3 + "/voip/turnServer", discovery.get_turn_server, tx=False),
    ],
    "Application services": [
        POST(V1 + "/appservice/{appservice_id}/ping", discovery.ping_appservice, who=APPSERVICE, tx=False),
        REFUSED("PUT", V3 + "/directory/list/appservice/{network_id}/{room_id}", "updateAppserviceRoomDirectoryVisibility", "Bridged rooms are not published."),
    ],
    "Dehydrated devices (MSC3814, unstable)": [
        PUT(MSC3814 + "/dehydrated_device", dehydrated.put_dehydrated_device, limit="keep"),
        GET(MSC3814 + "/dehydrated_device", dehydrated.get_dehydrated_device),
        DELETE(MSC3814 + "/dehydrated_device", dehydrated.delete_dehydrated_device, limit="keep"),
        GET(MSC3814 + "/dehydrated_device/{device_id}/events", dehydrated.get_dehydrated_device_events),
        POST(MSC3814 + "/dehydrated_device/{device_id}/events", dehydrated.post_dehydrated_device_events),
    ],
}
# fmt: on
