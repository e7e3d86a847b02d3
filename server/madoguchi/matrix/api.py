"""The Matrix Client-Server API v1.19: the table of contents, in the order of the specification's chapters.

All 166 operations stand here. One that is not offered says why.
"""

from madoguchi.web.endpoint import ALSO, ANYONE, APPSERVICE, DELETE, GET, OPTIONAL, POST, PUT, REFUSED, Row

V1 = "/_matrix/client/v1"
V3 = "/_matrix/client/v3"
MEDIA = "/_matrix/media/v3"


def PENDING(method: str, path: str, operation: str) -> Row:
    return REFUSED(method, path, operation, "pending")


CHAPTERS: dict[str, list[Row]] = {
    "Server discovery": [
        PENDING("GET", "/.well-known/matrix/client", "getWellknown"),  # M
        PENDING("GET", "/.well-known/matrix/support", "getWellknownSupport"),  # O
        PENDING("GET", "/.well-known/matrix/policy_server", "getWellknownPolicy"),  # E
        PENDING("GET", "/_matrix/client/versions", "getVersions"),  # M
    ],
    "Client authentication": [
        PENDING("GET", V1 + "/auth_metadata", "getAuthMetadata"),  # E
        PENDING("GET", V3 + "/login", "getLoginFlows"),  # M
        PENDING("POST", V3 + "/login", "login"),  # M
        PENDING("POST", V1 + "/login/get_token", "generateLoginToken"),  # E
        PENDING("GET", V3 + "/login/sso/redirect", "redirectToSSO"),  # E
        PENDING("GET", V3 + "/login/sso/redirect/{idp_id}", "redirectToIdP"),  # E
        PENDING("POST", V3 + "/refresh", "refresh"),  # O
        PENDING("POST", V3 + "/logout", "logout"),  # M
        PENDING("POST", V3 + "/logout/all", "logout_all"),  # M
        PENDING("POST", V3 + "/register", "register"),  # M
        PENDING("POST", V3 + "/register/email/requestToken", "requestTokenToRegisterEmail"),  # E
        PENDING("POST", V3 + "/register/msisdn/requestToken", "requestTokenToRegisterMSISDN"),  # E
        PENDING("GET", V3 + "/register/available", "checkUsernameAvailability"),  # E
        PENDING("GET", V1 + "/register/m.login.registration_token/validity", "registrationTokenValidity"),  # E
        PENDING("POST", V3 + "/account/password", "changePassword"),  # M
        PENDING("POST", V3 + "/account/password/email/requestToken", "requestTokenToResetPasswordEmail"),  # E
        PENDING("POST", V3 + "/account/password/msisdn/requestToken", "requestTokenToResetPasswordMSISDN"),  # E
        PENDING("POST", V3 + "/account/deactivate", "deactivateAccount"),  # O
        PENDING("GET", V3 + "/account/3pid", "getAccount3PIDs"),  # M
        PENDING("POST", V3 + "/account/3pid", "post3PIDs"),  # E
        PENDING("POST", V3 + "/account/3pid/add", "add3PID"),  # E
        PENDING("POST", V3 + "/account/3pid/bind", "bind3PID"),  # E
        PENDING("POST", V3 + "/account/3pid/delete", "delete3pidFromAccount"),  # E
        PENDING("POST", V3 + "/account/3pid/unbind", "unbind3pidFromAccount"),  # E
        PENDING("POST", V3 + "/account/3pid/email/requestToken", "requestTokenTo3PIDEmail"),  # E
        PENDING("POST", V3 + "/account/3pid/msisdn/requestToken", "requestTokenTo3PIDMSISDN"),  # E
        PENDING("GET", V3 + "/account/whoami", "getTokenOwner"),  # M
    ],
    "Capabilities": [
        PENDING("GET", V3 + "/capabilities", "getCapabilities"),  # M
    ],
    "Filtering": [
        PENDING("POST", V3 + "/user/{user_id}/filter", "defineFilter"),  # M
        PENDING("GET", V3 + "/user/{user_id}/filter/{filter_id}", "getFilter"),  # M
    ],
    "Syncing": [
        PENDING("GET", V3 + "/sync", "sync"),  # M
        PENDING("GET", V3 + "/events", "getEvents"),  # E
        PENDING("GET", V3 + "/initialSync", "initialSync"),  # E
        PENDING("GET", V3 + "/events/{event_id}", "getOneEvent"),  # E
    ],
    "Getting events for a room": [
        PENDING("GET", V3 + "/rooms/{room_id}/event/{event_id}", "getOneRoomEvent"),  # M
        PENDING("GET", V3 + "/rooms/{room_id}/state/{event_type}/{state_key}", "getRoomStateWithKey"),  # M
        PENDING("GET", V3 + "/rooms/{room_id}/state", "getRoomState"),  # M
        PENDING("GET", V3 + "/rooms/{room_id}/members", "getMembersByRoom"),  # M
        PENDING("GET", V3 + "/rooms/{room_id}/joined_members", "getJoinedMembersByRoom"),  # M
        PENDING("GET", V3 + "/rooms/{room_id}/messages", "getRoomEvents"),  # M
        PENDING("GET", V1 + "/rooms/{room_id}/timestamp_to_event", "getEventByTimestamp"),  # O
        PENDING("GET", V3 + "/rooms/{room_id}/initialSync", "roomInitialSync"),  # E
        ALSO("GET", V3 + "/events", "peekEvents", "answered by getEvents"),  # E
    ],
    "Sending events to a room": [
        PENDING("PUT", V3 + "/rooms/{room_id}/state/{event_type}/{state_key}", "setRoomStateWithKey"),  # M
        PENDING("PUT", V3 + "/rooms/{room_id}/send/{event_type}/{txn_id}", "sendMessage"),  # M
    ],
    "Redactions": [
        PENDING("PUT", V3 + "/rooms/{room_id}/redact/{event_id}/{txn_id}", "redactEvent"),  # M
    ],
    "Relationships": [
        PENDING("GET", V1 + "/rooms/{room_id}/relations/{event_id}", "getRelatingEvents"),  # M
        PENDING("GET", V1 + "/rooms/{room_id}/relations/{event_id}/{rel_type}", "getRelatingEventsWithRelType"),  # M
        PENDING("GET", V1 + "/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}", "getRelatingEventsWithRelTypeAndEventType"),  # M
        PENDING("GET", V1 + "/rooms/{room_id}/threads", "getThreadRoots"),  # M
    ],
    "Rooms": [
        PENDING("POST", V3 + "/createRoom", "createRoom"),  # M
        PENDING("PUT", V3 + "/directory/room/{room_alias}", "setRoomAlias"),  # O
        PENDING("GET", V3 + "/directory/room/{room_alias}", "getRoomIdByAlias"),  # M
        PENDING("DELETE", V3 + "/directory/room/{room_alias}", "deleteRoomAlias"),  # O
        PENDING("GET", V3 + "/rooms/{room_id}/aliases", "getLocalAliases"),  # O
    ],
    "Room membership": [
        PENDING("GET", V3 + "/joined_rooms", "getJoinedRooms"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/invite", "inviteUser"),  # M
        ALSO("POST", V3 + "/rooms/{room_id}/invite", "inviteBy3PID", "answered by inviteUser, which refuses third-party ids"),  # E
        PENDING("POST", V3 + "/rooms/{room_id}/join", "joinRoomById"),  # M
        PENDING("POST", V3 + "/join/{room_id_or_alias}", "joinRoom"),  # M
        PENDING("POST", V3 + "/knock/{room_id_or_alias}", "knockRoom"),  # E
        PENDING("POST", V3 + "/rooms/{room_id}/leave", "leaveRoom"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/forget", "forgetRoom"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/kick", "kick"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/ban", "ban"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/unban", "unban"),  # M
        PENDING("GET", V3 + "/directory/list/room/{room_id}", "getRoomVisibilityOnDirectory"),  # O
        PENDING("PUT", V3 + "/directory/list/room/{room_id}", "setRoomVisibilityOnDirectory"),  # O
        PENDING("GET", V3 + "/publicRooms", "getPublicRooms"),  # M
        PENDING("POST", V3 + "/publicRooms", "queryPublicRooms"),  # M
        PENDING("GET", V1 + "/room_summary/{room_id_or_alias}", "getRoomSummary"),  # O
        PENDING("GET", V1 + "/mutual_rooms", "getMutualRooms"),  # E
    ],
    "User data": [
        PENDING("POST", V3 + "/user_directory/search", "searchUserDirectory"),  # M
        PENDING("PUT", V3 + "/profile/{user_id}/{key_name}", "setProfileField"),  # M
        PENDING("GET", V3 + "/profile/{user_id}/{key_name}", "getProfileField"),  # M
        PENDING("DELETE", V3 + "/profile/{user_id}/{key_name}", "deleteProfileField"),  # O
        PENDING("GET", V3 + "/profile/{user_id}", "getUserProfile"),  # M
    ],
    "Typing, receipts and read markers": [
        PENDING("PUT", V3 + "/rooms/{room_id}/typing/{user_id}", "setTyping"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/receipt/{receipt_type}/{event_id}", "postReceipt"),  # M
        PENDING("POST", V3 + "/rooms/{room_id}/read_markers", "setReadMarker"),  # M
    ],
    "Presence": [
        PENDING("PUT", V3 + "/presence/{user_id}/status", "setPresence"),  # O
        PENDING("GET", V3 + "/presence/{user_id}/status", "getPresence"),  # O
    ],
    "Content repository": [
        PENDING("POST", MEDIA + "/upload", "uploadContent"),  # M
        PENDING("PUT", MEDIA + "/upload/{server_name}/{media_id}", "uploadContentToMXC"),  # O
        PENDING("POST", "/_matrix/media/v1/create", "createContent"),  # O
        PENDING("GET", MEDIA + "/download/{server_name}/{media_id}", "getContent"),  # O
        PENDING("GET", MEDIA + "/download/{server_name}/{media_id}/{file_name}", "getContentOverrideName"),  # O
        PENDING("GET", MEDIA + "/thumbnail/{server_name}/{media_id}", "getContentThumbnail"),  # O
        PENDING("GET", MEDIA + "/preview_url", "getUrlPreview"),  # E
        PENDING("GET", MEDIA + "/config", "getConfig"),  # O
        PENDING("GET", V1 + "/media/download/{server_name}/{media_id}", "getContentAuthed"),  # M
        PENDING("GET", V1 + "/media/download/{server_name}/{media_id}/{file_name}", "getContentOverrideNameAuthed"),  # M
        PENDING("GET", V1 + "/media/thumbnail/{server_name}/{media_id}", "getContentThumbnailAuthed"),  # M
        PENDING("GET", V1 + "/media/preview_url", "getUrlPreviewAuthed"),  # E
        PENDING("GET", V1 + "/media/config", "getConfigAuthed"),  # M
    ],
    "Send-to-device": [
        PENDING("PUT", V3 + "/sendToDevice/{event_type}/{txn_id}", "sendToDevice"),  # M
    ],
    "Device management": [
        PENDING("GET", V3 + "/devices", "getDevices"),  # M
        PENDING("GET", V3 + "/devices/{device_id}", "getDevice"),  # M
        PENDING("PUT", V3 + "/devices/{device_id}", "updateDevice"),  # M
        PENDING("DELETE", V3 + "/devices/{device_id}", "deleteDevice"),  # M
        PENDING("POST", V3 + "/delete_devices", "deleteDevices"),  # M
    ],
    "End-to-end encryption": [
        PENDING("POST", V3 + "/keys/upload", "uploadKeys"),  # M
        PENDING("POST", V3 + "/keys/query", "queryKeys"),  # M
        PENDING("POST", V3 + "/keys/claim", "claimKeys"),  # M
        PENDING("GET", V3 + "/keys/changes", "getKeysChanges"),  # M
        PENDING("POST", V3 + "/keys/device_signing/upload", "uploadCrossSigningKeys"),  # M
        PENDING("POST", V3 + "/keys/signatures/upload", "uploadCrossSigningSignatures"),  # M
        PENDING("POST", V3 + "/room_keys/version", "postRoomKeysVersion"),  # M
        PENDING("GET", V3 + "/room_keys/version", "getRoomKeysVersionCurrent"),  # M
        PENDING("GET", V3 + "/room_keys/version/{version}", "getRoomKeysVersion"),  # M
        PENDING("PUT", V3 + "/room_keys/version/{version}", "putRoomKeysVersion"),  # M
        PENDING("DELETE", V3 + "/room_keys/version/{version}", "deleteRoomKeysVersion"),  # M
        PENDING("PUT", V3 + "/room_keys/keys/{room_id}/{session_id}", "putRoomKeyBySessionId"),  # M
        PENDING("GET", V3 + "/room_keys/keys/{room_id}/{session_id}", "getRoomKeyBySessionId"),  # M
        PENDING("DELETE", V3 + "/room_keys/keys/{room_id}/{session_id}", "deleteRoomKeyBySessionId"),  # M
        PENDING("PUT", V3 + "/room_keys/keys/{room_id}", "putRoomKeysByRoomId"),  # M
        PENDING("GET", V3 + "/room_keys/keys/{room_id}", "getRoomKeysByRoomId"),  # M
        PENDING("DELETE", V3 + "/room_keys/keys/{room_id}", "deleteRoomKeysByRoomId"),  # M
        PENDING("PUT", V3 + "/room_keys/keys", "putRoomKeys"),  # M
        PENDING("GET", V3 + "/room_keys/keys", "getRoomKeys"),  # M
        PENDING("DELETE", V3 + "/room_keys/keys", "deleteRoomKeys"),  # M
    ],
    "Push notifications": [
        PENDING("GET", V3 + "/pushers", "getPushers"),  # M
        PENDING("POST", V3 + "/pushers/set", "postPusher"),  # M
        PENDING("GET", V3 + "/pushrules/", "getPushRules"),  # M
        PENDING("GET", V3 + "/pushrules/global/", "getPushRulesGlobal"),  # M
        PENDING("GET", V3 + "/pushrules/global/{kind}/{rule_id}", "getPushRule"),  # M
        PENDING("DELETE", V3 + "/pushrules/global/{kind}/{rule_id}", "deletePushRule"),  # M
        PENDING("PUT", V3 + "/pushrules/global/{kind}/{rule_id}", "setPushRule"),  # M
        PENDING("GET", V3 + "/pushrules/global/{kind}/{rule_id}/enabled", "isPushRuleEnabled"),  # M
        PENDING("PUT", V3 + "/pushrules/global/{kind}/{rule_id}/enabled", "setPushRuleEnabled"),  # M
        PENDING("GET", V3 + "/pushrules/global/{kind}/{rule_id}/actions", "getPushRuleActions"),  # M
        PENDING("PUT", V3 + "/pushrules/global/{kind}/{rule_id}/actions", "setPushRuleActions"),  # M
        PENDING("GET", V3 + "/notifications", "getNotifications"),  # O
    ],
    "Search and event context": [
        PENDING("POST", V3 + "/search", "search"),  # E
        PENDING("GET", V3 + "/rooms/{room_id}/context/{event_id}", "getEventContext"),  # M
    ],
    "Tagging and account data": [
        PENDING("GET", V3 + "/user/{user_id}/rooms/{room_id}/tags", "getRoomTags"),  # M
        PENDING("PUT", V3 + "/user/{user_id}/rooms/{room_id}/tags/{tag}", "setRoomTag"),  # M
        PENDING("DELETE", V3 + "/user/{user_id}/rooms/{room_id}/tags/{tag}", "deleteRoomTag"),  # M
        PENDING("PUT", V3 + "/user/{user_id}/account_data/{type}", "setAccountData"),  # M
        PENDING("GET", V3 + "/user/{user_id}/account_data/{type}", "getAccountData"),  # M
        PENDING("PUT", V3 + "/user/{user_id}/rooms/{room_id}/account_data/{type}", "setAccountDataPerRoom"),  # M
        PENDING("GET", V3 + "/user/{user_id}/rooms/{room_id}/account_data/{type}", "getAccountDataPerRoom"),  # M
    ],
    "Server administration": [
        PENDING("GET", V3 + "/admin/whois/{user_id}", "getWhoIs"),  # O
        PENDING("GET", V1 + "/admin/suspend/{user_id}", "getAdminSuspendUser"),  # O
        PENDING("PUT", V1 + "/admin/suspend/{user_id}", "setAdminSuspendUser"),  # O
        PENDING("GET", V1 + "/admin/lock/{user_id}", "getAdminLockUser"),  # O
        PENDING("PUT", V1 + "/admin/lock/{user_id}", "setAdminLockUser"),  # O
    ],
    "Reporting content": [
        PENDING("POST", V3 + "/rooms/{room_id}/report", "reportRoom"),  # O
        PENDING("POST", V3 + "/rooms/{room_id}/report/{event_id}", "reportEvent"),  # M
        PENDING("POST", V3 + "/users/{user_id}/report", "reportUser"),  # O
    ],
    "Third-party networks": [
        PENDING("GET", V3 + "/thirdparty/protocols", "getProtocols"),  # M
        PENDING("GET", V3 + "/thirdparty/protocol/{protocol}", "getProtocolMetadata"),  # E
        PENDING("GET", V3 + "/thirdparty/location/{protocol}", "queryLocationByProtocol"),  # E
        PENDING("GET", V3 + "/thirdparty/user/{protocol}", "queryUserByProtocol"),  # E
        PENDING("GET", V3 + "/thirdparty/location", "queryLocationByAlias"),  # E
        PENDING("GET", V3 + "/thirdparty/user", "queryUserByID"),  # E
    ],
    "OpenID": [
        PENDING("POST", V3 + "/user/{user_id}/openid/request_token", "requestOpenIdToken"),  # E
    ],
    "Room upgrades, spaces": [
        PENDING("POST", V3 + "/rooms/{room_id}/upgrade", "upgradeRoom"),  # O
        PENDING("GET", V1 + "/rooms/{room_id}/hierarchy", "getSpaceHierarchy"),  # O
    ],
    "Voice over IP": [
        PENDING("GET", V3 + "/voip/turnServer", "getTurnServer"),  # O
    ],
    "Application services": [
        PENDING("POST", V1 + "/appservice/{appservice_id}/ping", "pingAppservice"),  # M
        PENDING("PUT", V3 + "/directory/list/appservice/{network_id}/{room_id}", "updateAppserviceRoomDirectoryVisibility"),  # O
    ],
}
