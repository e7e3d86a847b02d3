"""How answers look: the statuses and codes of refusals, the headers that every answer of the API carries."""

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from madoguchi import errors

# The one place where a domain error becomes an HTTP status and a Matrix error code.
ANSWERS: dict[type[errors.Refused], tuple[int, str]] = {
    errors.NotAllowed: (403, "M_FORBIDDEN"),
    errors.NotFound: (404, "M_NOT_FOUND"),
    errors.Invalid: (400, "M_INVALID_PARAM"),
    errors.BadJson: (400, "M_BAD_JSON"),
    errors.NotJson: (400, "M_NOT_JSON"),
    errors.MissingParam: (400, "M_MISSING_PARAM"),
    errors.MissingToken: (401, "M_MISSING_TOKEN"),
    errors.UnknownToken: (401, "M_UNKNOWN_TOKEN"),
    errors.TooLarge: (413, "M_TOO_LARGE"),
    errors.TooSlow: (408, "M_UNKNOWN"),
    errors.LimitExceeded: (429, "M_LIMIT_EXCEEDED"),
    errors.UserInUse: (400, "M_USER_IN_USE"),
    errors.InvalidUsername: (400, "M_INVALID_USERNAME"),
    errors.Exclusive: (400, "M_EXCLUSIVE"),
    errors.RoomInUse: (400, "M_ROOM_IN_USE"),
    errors.WeakPassword: (400, "M_WEAK_PASSWORD"),
    errors.WrongVersion: (403, "M_WRONG_ROOM_KEYS_VERSION"),
    errors.ServerControlled: (405, "M_BAD_JSON"),
    errors.InvalidSignature: (400, "M_INVALID_SIGNATURE"),
    errors.UnsupportedRoomVersion: (400, "M_UNSUPPORTED_ROOM_VERSION"),
    errors.InvalidRoomState: (400, "M_INVALID_ROOM_STATE"),
    errors.GuestNotAllowed: (403, "M_GUEST_ACCESS_FORBIDDEN"),
    errors.UserDeactivated: (403, "M_USER_DEACTIVATED"),
    errors.UserLocked: (401, "M_USER_LOCKED"),
    errors.UserSuspended: (403, "M_USER_SUSPENDED"),
    errors.CannotLeaveServerNotice: (403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"),
    errors.BadAlias: (400, "M_BAD_ALIAS"),
    errors.UnknownPosition: (400, "M_UNKNOWN_POS"),
    errors.Conflict: (409, "M_CONFLICT"),
    errors.AlreadyTaken: (409, "JP_MADOGUCHI_ALREADY_TAKEN"),
    errors.Kept: (409, "JP_MADOGUCHI_KEPT"),
    errors.NotOnRoster: (403, "JP_MADOGUCHI_NOT_ON_ROSTER"),
    errors.LinkSpent: (410, "JP_MADOGUCHI_LINK_SPENT"),
    errors.WrongPassphrase: (403, "JP_MADOGUCHI_PASSPHRASE"),
    errors.HasMoved: (409, "JP_MADOGUCHI_MOVED"),
    errors.PeopleLeft: (409, "JP_MADOGUCHI_PEOPLE_LEFT"),
    errors.CapacityFull: (409, "JP_MADOGUCHI_FULL"),
    errors.DeskClosed: (403, "JP_MADOGUCHI_CLOSED"),
    errors.ProofNeeded: (403, "JP_MADOGUCHI_PROOF"),
    errors.Unrecognized: (404, "M_UNRECOGNIZED"),
    errors.WrongMethod: (405, "M_UNRECOGNIZED"),
    errors.Unknown: (400, "M_UNKNOWN"),
    errors.NotYetUploaded: (504, "M_NOT_YET_UPLOADED"),
    errors.CannotOverwriteMedia: (409, "M_CANNOT_OVERWRITE_MEDIA"),
    errors.UnknownDevice: (400, "M_UNKNOWN_DEVICE"),
    errors.ProfileTooLarge: (400, "M_PROFILE_TOO_LARGE"),
    errors.KeyTooLarge: (400, "M_KEY_TOO_LARGE"),
    errors.UrlNotSet: (400, "M_URL_NOT_SET"),
    errors.BadStatus: (502, "M_BAD_STATUS"),
    errors.ConnectionFailed: (502, "M_CONNECTION_FAILED"),
    errors.ConnectionTimeout: (504, "M_CONNECTION_TIMEOUT"),
    errors.Unavailable: (503, "M_UNKNOWN"),
}

HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, Range",
    "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, X-Request-Id",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_NO_HEADERS: CIMultiDict[str] = CIMultiDict()
_JSON_HEADERS = CIMultiDict({**HEADERS, "Content-Type": "application/json"})
_encode = msgspec.json.Encoder().encode


def refusal(refused: errors.Refused, request_id: str) -> web.Response:
    """A domain error as the specification's standard error response."""
    status, errcode = next(ANSWERS[kind] for kind in type(refused).__mro__ if kind in ANSWERS)
    body = {"errcode": errcode, "error": refused.message or type(refused).__name__, **refused.fields}
    response = json_answer(status, _encode(body), request_id)
    if isinstance(refused, errors.LimitExceeded) and isinstance(after := refused.fields.get("retry_after_ms"), int):
        response.headers["Retry-After"] = str(-(-after // 1000))
    return response


def json_answer(status: int, body: bytes, request_id: str) -> web.Response:
    """JSON text as an answer."""
    headers = _JSON_HEADERS.copy()
    headers["X-Request-Id"] = request_id
    return _Answer(status=status, body=body, headers=headers)


class _Answer(web.Response):
    """An answer that lets go of what it was once it is sent: aiohttp keeps the last one of every open connection."""

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        self._body = None
        self._headers = _NO_HEADERS
