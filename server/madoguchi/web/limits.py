"""How often somebody may do something: token buckets in memory, one for each kind and person or address.

A bucket holds `burst` and refills by `per_second`. Sizes allow a classroom behind one address: forty phones that start
within a minute. Each worker counts for itself; N workers allow at most N times as much.
"""

import ipaddress
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog
from aiohttp import web

from madoguchi import errors
from madoguchi.core.chat import appservices

if TYPE_CHECKING:
    from madoguchi.config import Settings
    from madoguchi.web.endpoint import Call


class Limit(NamedTuple):
    """burst: how many at once; per_second: how many more come back; by_address: counted by address, not by user."""

    burst: float
    per_second: float
    by_address: bool = False


# Rows name these. A row with a name that is not here is counted as "other".
LIMITS: dict[str, Limit] = {
    "login": Limit(60, 1.0, by_address=True),
    "register": Limit(60, 0.5, by_address=True),
    "arrive": Limit(60, 0.5, by_address=True),
    # Passwords and tokens tried. By person and address, so that nobody can lock a counsellor out from elsewhere; and
    # more widely by person alone, so that many addresses do not help much.
    "guess": Limit(10, 0.1),
    "guess from anywhere": Limit(200, 1.0),
    # What anybody may look at without a token: a classroom opens the page at once, and comes back.
    "look": Limit(200, 10.0, by_address=True),
    "redeem": Limit(10, 0.05, by_address=True),
    # Links and codes tried, by address: nobody guesses, and a class that moves together is let in.
    "move": Limit(60, 0.2, by_address=True),
    "message": Limit(100, 10.0),
    "upload": Limit(40, 2.0),
    # Each may have to be made; a list of rooms asks for many at once.
    "picture": Limit(100, 5.0),
    # Whose devices there are: asked after every change in every room.
    "query": Limit(300, 20.0),
    "room": Limit(30, 0.5),
    "invite": Limit(30, 0.5),
    "profile": Limit(20, 0.5),
    "search": Limit(20, 2.0),
    # The keeper and a counsellor on a busy evening stay far below these.
    "device message": Limit(300, 20.0),
    "claim": Limit(200, 5.0),
    "mark": Limit(100, 10.0),
    "keep": Limit(200, 10.0),
    "other": Limit(300, 30.0),
}
_MOST_BUCKETS = 100_000
log = structlog.get_logger()


class _Bucket:
    __slots__ = ("at", "level")

    def __init__(self, level: float, at: float) -> None:
        self.level = level
        self.at = at


class Limits:
    """The buckets of this worker. `settings.limits` "off" lets everything through (for tests)."""

    def __init__(self, settings: "Settings", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._on = settings.limits == "on"
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in settings.trusted_proxies]
        self._monotonic = monotonic
        self._warned = False
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def check(self, kind: str, call: "Call") -> None:
        """Counts one call of a kind, for its user or (where nobody is logged in) its address. Raises LimitExceeded."""
        limit = LIMITS.get(kind, LIMITS["other"])
        session = call.caller
        if session is not None and session.kind == "keeper":
            # It brings in all counsellors of a shift that begins: nobody must wait for that.
            return
        if limit.by_address or session is None:
            self.count(kind, _network_of(call.remote))
        elif session.appservice is None or appservices.by_id(call.ctx, session.appservice).rate_limited:
            # A bridge speaks for many people at once; where its registration says so, its own queue paces it.
            self.count(kind, session.user_id)

    def count(self, kind: str, who: str) -> None:
        """Counts one of a kind for somebody (any text that stands for them). Raises LimitExceeded."""
        if not self._on:
            return
        limit = LIMITS.get(kind, LIMITS["other"])
        now = self._monotonic()
        bucket = self._buckets.get((kind, who))
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._sweep(now)
            bucket = self._buckets[kind, who] = _Bucket(limit.burst, now)
        bucket.level = min(limit.burst, bucket.level + (now - bucket.at) * limit.per_second)
        bucket.at = now
        if bucket.level < 1:
            wait_ms = int((1 - bucket.level) / limit.per_second * 1000) + 1
            raise errors.LimitExceeded("Too many requests. Please wait a little.", retry_after_ms=wait_ms)
        bucket.level -= 1

    def guess(self, whom: str, call: "Call") -> None:
        """Counts one try at somebody's password (or at the registration token). Raises LimitExceeded."""
        self.count("guess", f"{whom} {_network_of(call.remote)}")
        self.count("guess from anywhere", whom)

    def _sweep(self, now: float) -> None:
        """Throws away the buckets that are full again; all of them if that is not enough."""
        for key, bucket in list(self._buckets.items()):
            limit = LIMITS.get(key[0], LIMITS["other"])
            if bucket.level + (now - bucket.at) * limit.per_second >= limit.burst:
                del self._buckets[key]
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets.clear()

    def address(self, request: web.BaseRequest) -> str:
        """The address of the client: of the connection, or, where that is a trusted proxy, what it forwards.

        X-Forwarded-For is read from its end: everything before the first address that is not a trusted proxy's could
        have been made up by the client.
        """
        peer = request.remote or ""
        if not self._trusted or not self._is_trusted(peer):
            if self._on and not self._warned and "X-Forwarded-For" in request.headers and _is_loopback(peer):
                self._warned = True
                log.warning("a proxy on this machine is not in trusted_proxies: all people share one address's limits")
            return peer
        address = peer
        for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            hop = hop.strip().strip("[]")
            if not _is_address(hop):
                break
            address = hop
            if not self._is_trusted(hop):
                break
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted if network.version == parsed.version)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ipaddress.ip_address(text).is_loopback


def _network_of(address: str) -> str:
    """What stands for a household: an IPv4 address, or the /64 that an IPv6 address lies in."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
