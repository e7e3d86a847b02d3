"""What can be refused, in the words of the domain. Raised, never returned; `web/answers.py` gives each its status.

The message is for people. `fields` join the answer's JSON body beside `errcode` and `error`. Neither may ever carry
content, a token, or a secret: both end in answers and logs.
"""


class Refused(Exception):
    """A request that is understood and not granted. Subclasses name the reason."""

    def __init__(self, message: str = "", **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class NotAllowed(Refused):
    """The caller may not do this."""


class NotFound(Refused):
    """There is no such thing, or none the caller may know of."""


class Invalid(Refused):
    """A parameter has a value that makes no sense."""


class BadJson(Refused):
    """The body is JSON of the wrong shape."""


class NotJson(Refused):
    """The body is not JSON."""


class MissingParam(Refused):
    """A parameter that is required was not given."""


class MissingToken(Refused):
    """No access token was given."""


class UnknownToken(Refused):
    """The access token is not, or no longer, one of ours."""


class TooLarge(Refused):
    """The request, event or file is larger than what is taken."""


class TooSlow(Refused):
    """The request takes longer to arrive than anybody waits for."""


class LimitExceeded(Refused):
    """Too many of these at once; `retry_after_ms` says when to come back."""


class UserInUse(Refused):
    """The user id is taken."""


class InvalidUsername(Refused):
    """The local part of the user id has characters that are not allowed."""


class Exclusive(Refused):
    """The name lies in a namespace that an application service keeps for itself."""


class RoomInUse(Refused):
    """The room alias is taken."""


class WeakPassword(Refused):
    """The password is too easy to guess."""


class WrongVersion(Refused):
    """The key backup version is not the current one; `current_version` is."""


class ServerControlled(Refused):
    """This is kept by the server itself; clients change it by other operations."""


class InvalidSignature(Refused):
    """A key is not signed as it should be."""


class UnsupportedRoomVersion(Refused):
    """No rooms of that version are made here."""


class InvalidRoomState(Refused):
    """The initial state of a new room contradicts itself."""


class GuestNotAllowed(Refused):
    """Guests may not do this."""


class UserDeactivated(Refused):
    """The account has been closed for good."""


class UserLocked(Refused):
    """The account has been locked by an administrator."""


class UserSuspended(Refused):
    """The account has been suspended by an administrator."""


class CannotLeaveServerNotice(Refused):
    """This room can't be left."""


class BadAlias(Refused):
    """The alias does not point at the room."""


class UnknownPosition(Refused):
    """The position in the stream is not one of ours, or too old to go on from."""


class Conflict(Refused):
    """The state of things has moved on since the caller looked."""


class AlreadyTaken(Conflict):
    """A colleague has accepted the case; `by` says who (`user_id`, `name`)."""


class Kept(Conflict):
    """What somebody wants destroyed has to be kept for now; `reason`: the code of what holds it."""


class NotOnRoster(NotAllowed):
    """Somebody of the staff whom the desk's signed roster does not vouch for."""


class UnknownLink(NotAllowed):
    """A link or code to a move that never opened anything here, or was forgotten long ago."""


class LinkSpent(Refused):
    """A link or code that opens nothing any more; `reason`: `used`, `expired`, `ended` (the case), `locked`."""


class WrongPassphrase(Refused):
    """A passphrase is asked for and was not given, or is another; `tries_left` says how many more are looked at."""


class HasMoved(Conflict):
    """Whoever is on the app goes on elsewhere; `case_id` says in which case."""


class PeopleLeft(Conflict):
    """Somebody would be left with nowhere to go; `nowhere` says how many. Two administrators may sign for it."""


class CapacityFull(Conflict):
    """The counsellor looks after as many cases as their capacity allows."""


class DeskClosed(NotAllowed):
    """The desk or this way to it takes no new cases now; `guidance` and, if known, `next_opening` say what does."""


class ProofNeeded(NotAllowed):
    """Somebody without an account brings no proof of work that is good; `challenge` is a fresh one."""


class Unrecognized(Refused):
    """No such path, or an operation that this server refuses by design."""


class WrongMethod(Refused):
    """The path exists, with another method."""


class Unknown(Refused):
    """Refused for a reason that has no name of its own."""


class NotYetUploaded(Refused):
    """The media id is reserved and its content has not come yet."""


class CannotOverwriteMedia(Refused):
    """The media id has its content already."""


class UnknownDevice(Refused):
    """The user has no such device."""


class ProfileTooLarge(Refused):
    """The profile would be larger than 64 KiB."""


class KeyTooLarge(Refused):
    """The name of the profile field is longer than 255 bytes."""


class UrlNotSet(Refused):
    """The application service has no address to call."""


class BadStatus(Refused):
    """The application service answered with an error; `status` is its HTTP status."""


class ConnectionFailed(Refused):
    """The application service can't be reached."""


class ConnectionTimeout(Refused):
    """The application service did not answer in time."""


class Unavailable(Refused):
    """A part of the house is not answering; try again soon."""


class InteractiveAuthNeeded(Refused):
    """The caller must show once more who they are; `fields` is the whole answer (client-server API, "User-Interactive
    Authentication")."""
