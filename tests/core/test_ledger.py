"""The viewing ledger's rules: what is drift, what a signature shows, what is known of a country and of a host."""

import base64
from datetime import date
from html import escape
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from madoguchi.core.desk import (
    countries,
    ledger,
    ledger_export,
    ledger_lines,
    ledger_paper,
    ledger_requirements,
    ledger_words,
)
from madoguchi.core.desk.ledger_lines import Line
from madoguchi.crypto import signed_page
from madoguchi.storage import staff_networks
from tests import mmdb

KEY = SigningKey(bytes(32))
PUBLIC = bytes(KEY.verify_key)
HOST = Line(section="allowed", key="api.example", facts={"what_for": "app"})
RELAY = Line(section="channels", key="line", facts={"kind": "line", "mode": "relay", "company_learns": "content"})
POINT = Line(
    section="channels", key="line", facts={"kind": "line", "mode": "contact_point", "company_learns": "metadata"}
)
CALLS = Line(section="contacted", key="serve:api.example", counts={"requests": 3}, watched=False)


def test_what_is_new_or_different_matters_what_is_gone_and_counts_do_not() -> None:
    [gone, changed] = sorted(ledger.compare([HOST, POINT], [RELAY]), key=lambda change: change.section)
    assert (gone.kind, gone.matters) == ("gone", False)
    assert (changed.kind, changed.matters) == ("changed", True)
    [added] = ledger.compare([RELAY], [RELAY, HOST])
    assert (added.kind, added.key, added.matters) == ("added", "api.example", True)
    more = Line(section="contacted", key="serve:api.example", counts={"requests": 9}, watched=False)
    assert ledger.compare([HOST, CALLS], [HOST, more]) == []
    assert [change.matters for change in ledger.compare([HOST], [HOST, more])] == [False]
    elsewhere = Line(section="contacted", key="serve:other.example", facts={"on_the_list": "no"})
    assert [change.matters for change in ledger.compare([HOST], [HOST, elsewhere])] == [True]
    # In words only what differs is said.
    [told] = ledger_words.changes([changed], english=True)
    assert {fact.name for fact in told.before} == {"mode", "what the company learns"}


def page(number: int, before: str) -> signed_page.Signed:
    lines = [{"section": "allowed", "key": f"host{number}", "facts": {"what_for": "app"}}]
    said = {"format": ledger.FORMAT, "desk": "d", "seq": number, "day": "2026-11-29", "before": before, "lines": lines}
    return signed_page.sign(KEY, said)


def test_whoever_has_the_public_key_finds_what_was_changed_left_out_or_signed_by_another() -> None:
    first = page(1, "")
    second = page(2, signed_page.text(first.hash))
    third = page(3, signed_page.text(second.hash))
    assert signed_page.faults([first, second, third], PUBLIC) == []
    assert signed_page.faults([first, third], PUBLIC) == ["ledger 2 does not follow the one before it"]
    altered = second._replace(page=second.page | {"day": "2026-11-30"})
    assert signed_page.faults([first, altered, third], PUBLIC) == ["ledger 2 is not what its hash says"]
    assert signed_page.fault(first, bytes(SigningKey(b"x" * 32).verify_key)) == "was not signed by this key"
    found = ledger.of_page(first)
    assert signed_page.of_file(ledger.as_file(found, PUBLIC)) == first
    with pytest.raises(ValueError):
        signed_page.of_file({"ledger": {}, "hash": "?", "signature": ""})


async def test_a_country_is_known_by_the_operators_file_and_else_unknown(tmp_path: Path) -> None:
    file = mmdb.write(tmp_path / "countries.mmdb", {"203.0.113.0/24": "JP", "198.51.100.0/25": "KR"})
    known = countries.open_countries(str(file))
    assert known.of_address("203.0.113.9") == countries.INSIDE  # TEST-NET-3 is nobody's, so it is inside
    file = mmdb.write(tmp_path / "more.mmdb", {"133.0.0.0/8": "JP", "1.208.0.0/12": "KR"})
    known = countries.open_countries(str(file))
    asked = ("133.242.0.1", "1.211.3.4", "8.8.8.8", "10.0.0.1", "2001:db8::1", "no address")
    assert [known.of_address(each) for each in asked] == ["JP", "KR", "unknown", "inside", "inside", "unknown"]
    assert await countries.of_host(known, "133.242.0.1") == "JP"
    assert await countries.of_host(known, "*.push.example") == "unknown"
    nothing = countries.open_countries("")
    assert nothing.of_address("133.242.0.1") == "unknown" and await countries.of_host(nothing, "a.example") == "unknown"
    (tmp_path / "bad.mmdb").write_bytes(b"no database")
    with pytest.raises(ValueError):
        countries.open_countries(str(tmp_path / "bad.mmdb"))
    assert staff_networks.network_of("133.242.7.1") == "133.242.7.0/24"
    assert staff_networks.network_of("2400:1:2:3::4") == "2400:1:2::/48"


def test_a_name_on_the_list_lets_through_what_lies_under_it_and_nothing_that_only_ends_like_it() -> None:
    hosts = ["api.line.me", "*.push.example"]
    assert ledger_lines.is_allowed("api.line.me", hosts) and ledger_lines.is_allowed("eu.push.example", hosts)
    assert not ledger_lines.is_allowed("evilpush.example", hosts) and not ledger_lines.is_allowed("push.example", hosts)


def test_where_the_database_stands_is_told_however_its_address_says_it() -> None:
    assert ledger_lines.database_hosts("") == ["this_machine"]
    assert ledger_lines.database_hosts("postgresql:///madoguchi?host=/run/postgresql") == ["this_machine"]
    assert ledger_lines.database_hosts("postgresql://m:a%40b@db.example:5432/m") == ["db.example"]
    two = "postgresql://m@[2001:db8::5]:5432,two.example/m"
    assert ledger_lines.database_hosts(two) == ["2001:db8::5", "two.example"]
    assert ledger_lines.database_hosts("postgresql:///m?host=one.example,two.example") == ["one.example", "two.example"]
    keys = ("database", "database:2", "database:found", "backup:1")
    shown = [ledger_words.about("places", key, english=True) for key in keys]
    assert shown == ["database", "database 2", "database, as reached", "backup 1"]


def test_the_printed_page_fetches_nothing_escapes_what_it_shows_and_answers_each_requirement() -> None:
    bad = Line(section="allowed", key="<script>alert(1)</script>", facts={"what_for": "app"})
    made = ledger.Ledger(1, date(2026, 11, 29), page(1, ""), [RELAY, bad])
    for english in (False, True):
        told = ledger_export.as_html(made, PUBLIC, english)
        assert "<script" not in told and "http" not in told and base64.b64encode(PUBLIC).decode() in told
        assert all(escape(each.asked[english]) in told for each in ledger_requirements.LIST)
        paper = ledger_paper.as_pdf(made, PUBLIC, english)
        assert paper.startswith(b"%PDF-") and paper.count(b"/Type /Page\n") >= 2
    names = {section.name for section in ledger_words.sections([], english=False)}
    assert {name for each in ledger_requirements.LIST for name in each.sections} <= names
