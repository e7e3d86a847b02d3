"""The proof of work of whoever arrives without an account."""

import secrets
from datetime import UTC, datetime, timedelta

import msgspec

from madoguchi.core.desk import proof
from tests.cast import DESK, Json, refused, solved
from tests.desk.conftest import Desk

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
KEY = b"k" * 32


def _arrival(proved: Json) -> Json:
    return {"channel": "web", "proof": proved}


async def test_whoever_has_no_account_brings_a_proof_that_is_good_once(desk: Desk) -> None:
    here, there = desk.some_line(), desk.some_line()
    challenge = await here.call("GET", DESK + "/challenge")
    proved = solved(challenge)
    for wrong in (
        {**proved, "number": proved["number"] + 1},
        {**proved, "signature": "0" * 64},
        {**proved, "salt": proved["salt"].replace("?", "0?")},
    ):
        told = await refused(here.call("POST", DESK + "/cases", _arrival(wrong)), 403, "JP_MADOGUCHI_PROOF")
        assert told.body["challenge"]["challenge"] != challenge["challenge"]
    assert (await here.call("POST", DESK + "/cases", _arrival(proved)))["access_token"]
    for line in (here, there):
        fresh = await refused(line.call("POST", DESK + "/cases", _arrival(proved)), 403, "JP_MADOGUCHI_PROOF")
    assert (await there.call("POST", DESK + "/cases", _arrival(solved(fresh.body["challenge"]))))["case_id"]


async def test_who_asks_again_under_their_key_is_answered_though_the_proof_is_used(desk: Desk) -> None:
    line = desk.some_line()
    body = _arrival(solved(await line.call("GET", DESK + "/challenge"))) | {"arrival_key": secrets.token_urlsafe(24)}
    first = await line.call("POST", DESK + "/cases", body)
    assert (await line.call("POST", DESK + "/cases", body))["case_id"] == first["case_id"]


def test_a_proof_is_good_for_twenty_minutes_and_under_one_key() -> None:
    challenge = msgspec.to_builtins(proof.challenge_of(KEY, NOON, 50))
    found = msgspec.convert(solved(challenge), proof.Proof)
    assert proof.expiry_of(KEY, found, NOON + timedelta(minutes=19)) == NOON + proof.GOOD_FOR
    assert proof.expiry_of(KEY, found, NOON + timedelta(minutes=20)) is None
    assert proof.expiry_of(b"another", found, NOON) is None


def test_a_rush_makes_it_dearer_within_bounds() -> None:
    assert [proof.work_in(100, arrivals) for arrivals in (0, 59, 60, 5000)] == [100, 100, 200, 800]
