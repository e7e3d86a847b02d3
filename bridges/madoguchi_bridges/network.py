"""What a messaging app must say about itself. Everything else is done once, in bridge.py, intake.py and outbox.py.

A new app is one file with a class that has these attributes and methods, and one row in networks.py: see
bridges/README.md.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

import msgspec

Kind = Literal["message", "edited", "withdrawn", "arrived", "left", "notice", "group", "account", "unknown"]
"""What happened, in the bridge's words:

message    somebody says something (or presses a button): opens a case
edited     an earlier message, `message_id`, has these words now
withdrawn  an earlier message, `message_id`, was taken back by its sender
arrived    somebody added the account or unblocked it
left       somebody blocked the account; what is sent from now on does not arrive
notice     something about a person that belongs into a running case, but opens none
group      something from a group chat; counselling is one to one, so nothing of it is shown or kept
account    something about the operator's own account; concerns no person
unknown    a kind this version does not know: shown as a placeholder when it has a sender
"""


MediaKind = Literal["image", "video", "audio", "file"]


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture, film, sound or file that somebody sent; `id` is by what the app gives it out (`FetchesMedia`)."""

    kind: MediaKind
    id: str
    name: str = ""
    type: str = ""  # as image/jpeg; "" = the app says so only with the content
    size: int | None = None  # bytes
    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None


class Ref(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what the app knows one message again. Sealed where it is kept."""

    id: str  # what `Incoming.message_id` would be
    quote: str = ""  # what an answer names to quote it; "" = it can't be quoted
    read: str = ""  # what says that it has been read; "" = nothing does


class Incoming(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event from an app. This is what gets sealed: it may hold content, so it is never logged."""

    event_id: str  # the app's id of the event; the same in a redelivery
    kind: Kind
    happened_at: int = 0  # ms since 1970, by the app's clock; 0 when the app did not say
    sender: str = ""  # the app's id of the person; "" when the event concerns nobody
    group: str = ""  # the app's id of a group chat
    text: str = ""  # what the counsellor is shown; with `media`, what to show if that can't be had
    placeholder: bool = False  # the text stands for something this version can't carry
    media: Media | None = None
    caption: str = ""  # what was written under `media`
    message_id: str = ""  # the app's id of the message said, edited or withdrawn; unique in the channel
    reply_to: str = ""  # the `message_id` that this answers or is about
    quote_token: str = ""  # as `Ref.quote`
    read_token: str = ""  # as `Ref.read`
    reply_token: str = ""  # lets us answer once, for a short time
    start: str = ""  # of `arrived`: what stood behind the link that opened the account
    standby: bool = False  # another system answers for the account at the moment: we must not
    redelivered: bool = False


class Limits(msgspec.Struct, frozen=True):
    text_units: int  # longest text of one bubble, in UTF-16 code units
    texts_per_request: int  # bubbles that one request may carry
    reply_seconds: float  # how long a reply token can be trusted; 0 = the app knows no replies
    retry_key_hours: float  # how long the app recognises a repeated request by its key
    body_bytes: int = 1024 * 1024  # longest webhook body
    requests_per_second: float = 100.0  # of one account; those of a person go one after the other anyway


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A file under an address of our own that expires: for apps whose phones fetch what is sent."""

    kind: MediaKind
    url: str
    type: str
    size: int
    duration_ms: int | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be uploaded. `read` gives the content anew each time, in pieces."""

    kind: MediaKind
    name: str
    type: str
    size: int
    read: Callable[[], AsyncIterator[bytes]]
    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None


class Button(msgspec.Struct, frozen=True):
    """Opens an address by a tap. label: at most 20 characters."""

    label: str
    url: str


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the app: at most `limits.texts_per_request` texts, each at most `limits.text_units` long."""

    to: str
    texts: tuple[str, ...]
    retry_key: UUID  # the same in every attempt
    reply_token: str = ""  # "" = send without a token
    link: Link | None = None  # may be sent as a picture in place of the first text, which has the address in words
    quotes: Ref | None = None  # the message that the first text answers
    file: File | None = None  # goes before the texts; only where the network `UploadsFiles`
    buttons: tuple[Button, ...] = ()  # may be shown under the last text; the words before say where they lead, too
    card: bool = False  # the last text is short and belongs to the buttons: may be shown as one with them


class Unverified(Exception):
    """The webhook's signature is missing or wrong. Nothing of it may be looked at or stored."""


class TryAgain(Exception):
    """The app did not answer, or answered 5xx: whether the message arrived is not known. Repeat with the same key.

    `after`: seconds that the app wants to be left alone; it did not take the message then.
    """

    def __init__(self, after: float = 0.0) -> None:
        super().__init__()
        self.after = after


class NotReady(Exception):
    """The app is still preparing the file: ask again later."""


class Unavailable(Exception):
    """The file can't be had; repeating is of no use. `reason`: one of notices.MISSING."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReplyTokenSpent(Exception):
    """The app takes this reply token no longer: it was used, or it is too old."""


class Rejected(Exception):
    """The app will not carry this message; repeating is of no use.

    `reason`: quota, unauthorized, invalid, unknown_person or refused (notices.FAILURES has the words for each).
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Network(Protocol):
    """One account of an operator on one app. Built by its factory in networks.py from the channel's opened secrets."""

    name: str  # the kind of channel, "line": also part of the ghosts' user ids and of the webhook's path
    title: str  # the app's name for people: "LINE"
    limits: Limits

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Checks that the raw body comes from the app. Constant time. Raises Unverified."""

    def parse(self, raw: bytes) -> list[Incoming]:
        """Reads a verified body into events, in the body's order. Pure; never raises: what it can't read it says so."""

    async def send(self, outgoing: Outgoing) -> Sequence[Ref]:
        """Hands one request to the app; returns when the app accepted it, now or at an earlier attempt with this key.

        Gives what the app calls each message, as far as it says so. Accepted is not delivered: a person may have
        blocked the account. Raises TryAgain, ReplyTokenSpent, Rejected.
        """

    async def close(self) -> None:
        """Closes connections."""


@runtime_checkable
class LeavesGroups(Protocol):
    """Optional: the app can be told to take our account out of a group chat."""

    async def leave_group(self, group: str) -> None: ...


class Fetched(msgspec.Struct, frozen=True):
    """A file that is coming from the app."""

    type: str  # "" = the app does not say
    size: int | None
    pieces: AsyncIterator[bytes]


@runtime_checkable
class FetchesMedia(Protocol):
    """Optional: what people send besides words can be fetched from the app."""

    def fetch(self, media: Media) -> AbstractAsyncContextManager[Fetched]:
        """Opens the file; the pieces are read inside. Raises NotReady, Unavailable, and TryAgain, that one also in the
        middle of the pieces."""


@runtime_checkable
class UploadsFiles(Protocol):
    """Optional: files can be handed to the app, so that no link is needed."""

    upload_bytes: int  # largest file


@runtime_checkable
class MarksRead(Protocol):
    """Optional: a person can be shown that what they wrote has been read. Called when a human has, never before."""

    async def mark_read(self, to: str, ref: Ref) -> None:
        """`ref.read` is set. Raises TryAgain, Rejected."""


@runtime_checkable
class ShowsTyping(Protocol):
    """Optional: a person can be shown that somebody is writing."""

    typing_seconds: float  # how long one call is seen

    async def show_typing(self, to: str) -> None:
        """Raises TryAgain, Rejected."""


@runtime_checkable
class Edits(Protocol):
    """Optional: a text that was sent can be given other words."""

    async def edit(self, to: str, ref: Ref, text: str) -> None:
        """Raises TryAgain, Rejected: then the words go out as a message of their own."""


@runtime_checkable
class Deletes(Protocol):
    """Optional: what was sent can be taken back."""

    async def delete(self, to: str, ref: Ref) -> None:
        """Raises TryAgain, Rejected."""


@runtime_checkable
class Reacts(Protocol):
    """Optional: an emoji can be set on a message of the conversation, one at a time."""

    reactions: frozenset[str]  # the emoji that the app takes, without U+FE0F

    async def react(self, to: str, ref: Ref, emoji: str) -> None:
        """Sets it in place of the one before; "" takes that back. Repeating does nothing. Raises TryAgain, Rejected."""


class Quota(msgspec.Struct, frozen=True):
    """What may be sent in this month. `limit` None: as much as one wants."""

    limit: int | None
    used: int


@runtime_checkable
class CountsQuota(Protocol):
    """Optional: the app says how much may still be sent."""

    async def quota(self) -> Quota:
        """Raises TryAgain, Rejected."""


Step = Literal["secrets", "token", "address", "active", "test", "console", "quota", "groups"]
State = Literal["good", "wrong", "look"]


class Finding(msgspec.Struct, frozen=True):
    """One step of an account's set-up as it is now. state `look`: the app does not tell, a human has to look. why: a
    word that the pages know. value: what may be shown to an administrator; nothing secret, nothing of anybody."""

    step: Step
    state: State
    why: str = ""
    value: str = ""


@runtime_checkable
class Checked(Protocol):
    """Optional: the app tells how an account is set up."""

    async def check(self, webhook_url: str) -> Sequence[Finding]:
        """In the order in which it is mended; stops where the rest can't be known. Raises TryAgain, Rejected."""


@runtime_checkable
class Prepared(Protocol):
    """Optional: the account has to be told, once, where we listen."""

    async def prepare(self, webhook_url: str) -> None:
        """`webhook_url`: of this channel, as the app's servers reach it. Raises TryAgain, Rejected."""


@runtime_checkable
class OpensByLink(Protocol):
    """Optional: a link opens the account on a phone, and brings a token or a code along."""

    async def start_url(self) -> str:
        """The address, with `{token}` (comes back as `Incoming.start`) or `{code}` (comes as a message) where that
        belongs. Raises TryAgain, Rejected."""


class News(msgspec.Struct, frozen=True):
    """What an app had for us: a body as `parse` reads it, and the mark that confirms it with the next call."""

    raw: bytes
    mark: str


@runtime_checkable
class Polled(Protocol):
    """Optional: the app is asked for news, where it can't call us."""

    polls: bool  # whether this account is

    async def poll(self, mark: str) -> News:
        """Waits for news after `mark` ("" = whatever there is), for up to half a minute. Raises TryAgain, Rejected."""
