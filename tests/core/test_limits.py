"""Limits and addresses: what can be asked without a server."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from madoguchi import errors
from madoguchi.config import Settings
from madoguchi.core.chat.sessions import Session
from madoguchi.web.limits import LIMITS, Limits


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def call_from(remote: str, session: Session | None = None) -> Any:
    return SimpleNamespace(remote=remote, caller=session, ctx=SimpleNamespace(appservices=[]))


def passes(limits: Limits, kind: str, call: Any) -> bool:
    try:
        limits.check(kind, call)
    except errors.LimitExceeded:
        return False
    return True


def test_a_bucket_holds_its_burst_and_refills() -> None:
    watch = Watch()
    limits = Limits(Settings(), watch)
    call = call_from("192.0.2.1")
    burst, per_second, _ = LIMITS["login"]
    assert all(passes(limits, "login", call) for _ in range(int(burst)))
    with pytest.raises(errors.LimitExceeded) as told:
        limits.check("login", call)
    assert 0 < int(str(told.value.fields["retry_after_ms"])) <= 1000 / per_second + 1
    assert passes(limits, "login", call_from("192.0.2.2"))
    watch.now += 1 / per_second
    assert passes(limits, "login", call)
    assert not passes(limits, "login", call)


def test_off_is_off() -> None:
    limits = Limits(Settings(limits="off"))
    assert all(passes(limits, "login", call_from("192.0.2.1")) for _ in range(1000))


def test_people_behind_one_address_do_not_share_what_is_counted_by_person() -> None:
    limits = Limits(Settings(), Watch())
    for number in range(40):
        session = Session(f"@u{number}:x", "D", number + 1)
        assert all(passes(limits, "message", call_from("192.0.2.1", session)) for _ in range(50))


def test_the_keeper_brings_in_a_whole_shift_at_once() -> None:
    limits = Limits(Settings(), Watch())
    keeper = Session("@keeper:x", "D", 1, kind="keeper")
    for kind in ("invite", "upload", "device message", "claim"):
        assert all(passes(limits, kind, call_from("127.0.0.1", keeper)) for _ in range(500))


def test_a_household_is_one_ipv6_network() -> None:
    limits = Limits(Settings(), Watch())
    burst = int(LIMITS["login"].burst)
    assert all(passes(limits, "login", call_from(f"2001:db8:1:2::{n:x}")) for n in range(burst))
    assert not passes(limits, "login", call_from("2001:db8:1:2:ffff::1"))
    assert passes(limits, "login", call_from("2001:db8:1:3::1"))


@given(waits=st.lists(st.floats(0, 20), max_size=200))
def test_no_more_pass_than_burst_and_time_allow(waits: list[float]) -> None:
    watch = Watch()
    limits = Limits(Settings(), watch)
    call, began, passed = call_from("192.0.2.1"), watch.now, 0
    for wait in waits:
        watch.now += wait
        passed += passes(limits, "register", call)
    limit = LIMITS["register"]
    assert passed <= limit.burst + (watch.now - began) * limit.per_second + 1e-6


# -- whose address it is -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["rubbish, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_address_is_that_which_a_trusted_proxy_saw(peer: str, forwarded: list[str], address: str) -> None:
    limits = Limits(Settings(trusted_proxies=("10.0.0.0/8", "fd00::/8")))
    request = make_mocked_request("GET", "/")
    headers = request.headers.copy()
    for line in forwarded:
        headers.add("X-Forwarded-For", line)
    assert limits.address(request.clone(headers=headers, remote=peer)) == address
