"""Channels: connected from the command line, with secrets that only the bridges open, and a reason for every mode."""

import base64
import json
import re
import secrets
import subprocess
from pathlib import Path

import pytest
import yaml
from nacl.public import PrivateKey, SealedBox

from madoguchi.cli_channel_check import MEND
from madoguchi.core.desk import app_accounts
from madoguchi_bridges.line_check import REASONS, STATUSES
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.house import SERVER_NAME

ROOT = Path(__file__).parents[2]
BY_CHECKS = ("checks.py", "line_check.py", "telegram_api.py")


async def relay(desk: Desk) -> tuple[str, str]:
    """A new LINE channel in relay mode: (its id, what the command said)."""
    channel_id = f"line-{secrets.token_hex(3)}"
    words = ["channel", "add", "line", "--id", channel_id, "--name", "県のLINE", "--secret", "-", "--token", "-"]
    told = await desk.run(*words, "--mode", "relay", "--reason", "agreed by the board", input_="geheim-1\ngeheim-2\n")
    return channel_id, told


async def ghost(desk: Desk, app: str = "line") -> Person:
    """Somebody on an app, as the bridges stand for them."""
    registration = yaml.safe_load((desk.workers.directory / "data/keys/registration-bridges.yaml").read_text())
    localpart = f"{app}_{secrets.token_hex(8)}"
    await desk.line.call(
        "POST",
        "/_matrix/client/v3/register",
        {"type": "m.login.application_service", "username": localpart, "inhibit_login": True},
        token=registration["as_token"],
    )
    login = {"user_id": f"@{localpart}:{SERVER_NAME}", "device_id": "", "access_token": registration["as_token"]}
    return Person(desk.line, "ghost", "", login)


async def test_a_channel_is_connected_and_its_secrets_are_sealed(desk: Desk) -> None:
    channel_id, told = await relay(desk)
    assert f"/_madoguchi/bridges/line/{channel_id}/webhook" in told
    sealed = desk.workers.postgres.psql(f"SELECT sealed_secrets FROM channels WHERE id = '{channel_id}'", "madoguchi")
    key = PrivateKey(base64.b64decode((desk.workers.directory / "data/keys/bridges.key").read_bytes()))
    opened = json.loads(SealedBox(key).decrypt(base64.b64decode(sealed)))
    assert opened == {"channel_secret": "geheim-1", "access_token": "geheim-2"}
    everything = desk.workers.postgres.psql("SELECT * FROM channels", "madoguchi")
    assert "geheim" not in everything and "geheim" not in told


async def test_an_account_given_in_on_the_page_reaches_the_server_sealed(desk: Desk) -> None:
    admin = await desk.administrator()
    seen = await admin.get(f"{DESK}/channels")
    key = PrivateKey(base64.b64decode((desk.workers.directory / "data/keys/bridges.key").read_bytes()))
    assert base64.b64decode(seen["bridges_key"]) == bytes(key.public_key) and seen["telegram_polls"] is True

    def sealed(what: Json) -> str:
        return base64.b64encode(SealedBox(key.public_key).encrypt(json.dumps(what).encode())).decode()

    first = sealed({"channel_secret": "a", "access_token": "b"})
    added = await admin.post(f"{DESK}/channels", {"kind": "line", "sealed": first, "name": "市のLINE"})
    path = f"{DESK}/channels/{added['channel_id']}"
    (channel,) = [
        each for each in (await admin.get(f"{DESK}/channels"))["channels"] if each["id"] == added["channel_id"]
    ]
    # Words cross the app only after somebody has switched the mode, with a reason.
    assert (channel["name"], channel["mode"], channel["has_secrets"]) == ("市のLINE", "contact_point", True)
    assert channel["changes"][0]["by"] == admin.user_id

    def stored() -> str:
        column = f"SELECT sealed_secrets FROM channels WHERE id = '{added['channel_id']}'"
        return desk.workers.postgres.psql(column, "madoguchi").strip()

    assert stored() == first
    await refused(admin.put(f"{path}/account", {"sealed": "in clear"}), 400, "M_INVALID_PARAM")
    await refused(admin.put(f"{DESK}/channels/web/account", {"sealed": first}), 400, "M_INVALID_PARAM")
    await refused(admin.put(f"{DESK}/channels/nowhere/account", {"sealed": first}), 404)
    assert stored() == first
    second = sealed({"channel_secret": "a", "access_token": "c"})
    await admin.put(f"{path}/account", {"sealed": second})
    assert stored() == second
    told = [(each["act"], each["actor"]) for each in (await admin.get(f"{DESK}/audit"))["entries"]]
    assert told[:2] == [("channel.secrets_renewed", admin.user_id), ("channel.added", admin.user_id)]


def test_page_and_command_know_a_bots_token_by_the_same_looks() -> None:
    page = (ROOT / "client-web/src/screens/admin/accounts.ts").read_text()
    (looks,) = re.findall(r'BOT_TOKEN = "(.*)";', page)
    # A page's pattern is read with the flag v, which wants the - escaped.
    assert looks.replace("\\\\", "\\").replace("\\-", "-") == app_accounts._BOT_TOKEN.pattern


async def test_a_telegram_bot_is_connected_by_its_token_alone(desk: Desk) -> None:
    channel_id, token = f"telegram-{secrets.token_hex(3)}", "123456:" + "A" * 35
    words = ["channel", "add", "telegram", "--id", channel_id, "--token", "-"]
    with pytest.raises(subprocess.CalledProcessError) as failed:
        await desk.run(*words, input_="no token\n")
    assert "@BotFather" in failed.value.stderr and "no token\n" not in failed.value.stderr
    told = await desk.run(*words, input_=token + "\n")
    assert told.strip() == f"channel {channel_id}: telegram, contact_point, Telegram"
    key = PrivateKey(base64.b64decode((desk.workers.directory / "data/keys/bridges.key").read_bytes()))

    def opened() -> Json:
        column = f"SELECT sealed_secrets FROM channels WHERE id = '{channel_id}'"
        sealed = desk.workers.postgres.psql(column, "madoguchi")
        found: Json = json.loads(SealedBox(key).decrypt(base64.b64decode(sealed)))
        return found

    # Without a public https address Telegram could not call: it is asked.
    assert opened() == {"bot_token": token}
    other = "654321:" + "B" * 35
    await desk.run("channel", "set", channel_id, "--token", "-", input_=other + "\n")
    assert opened() == {"bot_token": other}
    assert "40 kept back" in await desk.run("channel", "set", channel_id, "--quota-reserve", "40")
    settings = f"SELECT settings FROM channels WHERE id = '{channel_id}'"
    assert json.loads(desk.workers.postgres.psql(settings, "madoguchi")) == {"quota_reserve": 40}
    entries = (await (await desk.administrator()).get(DESK + "/audit", limit=1))["entries"]
    assert (entries[0]["act"], entries[0]["subject"]) == ("channel.reserve_set", channel_id)
    assert "greeting set" in await desk.run("channel", "set", channel_id, "--greeting", "県の窓口です。")
    assert json.loads(desk.workers.postgres.psql(settings, "madoguchi"))["greeting"] == "県の窓口です。"
    for wrong in (
        ("nosuch", "--token", "-"), ("web", "--token", "-"), ("web", "--quota-reserve", "4"),
        ("web", "--greeting", "x"), (channel_id, "--greeting", "何歳ですか？"),
    ):  # fmt: skip
        with pytest.raises(subprocess.CalledProcessError):
            await desk.run("channel", "set", *wrong, input_=token + "\n")


async def test_a_relay_needs_a_reason(desk: Desk) -> None:
    words = ("channel", "add", "line", "--name", "x", "--secret", "-", "--token", "-", "--mode", "relay")
    for more in ((), ("--reason", "  ")):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            await desk.run(*words, *more, input_="a\nb\n")
        assert "reason" in failed.value.stderr
    channel_id, _ = await relay(desk)
    with pytest.raises(subprocess.CalledProcessError):
        await desk.run("channel", "set", channel_id, "--mode", "closed")
    with pytest.raises(subprocess.CalledProcessError):
        await desk.run("channel", "set", "web", "--mode", "relay", "--reason", "r")


async def test_every_change_of_mode_is_kept_with_who_when_and_why(desk: Desk) -> None:
    channel_id, _ = await relay(desk)
    await desk.run("channel", "set", channel_id, "--mode", "draining", "--reason", "the app is under suspicion")
    channels = (await (await desk.administrator()).get(DESK + "/channels"))["channels"]
    [found] = [channel for channel in channels if channel["id"] == channel_id]
    assert (found["kind"], found["mode"], found["name"]) == ("line", "draining", "県のLINE")
    steps = [(change["mode_before"], change["mode_after"], change["reason"]) for change in found["changes"]]
    assert steps == [(None, "relay", "agreed by the board"), ("relay", "draining", "the app is under suspicion")]
    assert all(change["by"].startswith("operator") and change["at"] > 0 for change in found["changes"])
    listed = await desk.run("channel", "list", "--changes")
    assert "relay → draining" in listed and "the app is under suspicion" in listed
    assert "sealed" not in json.dumps(found)


async def test_somebody_on_line_waits_in_the_same_queue(desk: Desk) -> None:
    channel_id, _ = await relay(desk)
    ken, keeper, mio = await desk.staff("健"), await desk.keeper(), await ghost(desk)
    opened = await mio.post(DESK + "/cases", {"channel": "line", "channel_id": channel_id}, user_id=mio.user_id)
    assert opened.keys() == {"case_id", "room_id", "user_id"}
    again = await mio.post(DESK + "/cases", {"channel": "line", "channel_id": channel_id}, user_id=mio.user_id)
    assert again == opened
    [ticket] = (await ken.get(DESK + "/queue"))["waiting"]
    assert (ticket["channel"], ticket["mode"], ticket["locked"]) == ("line", "relay", False)
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    [own] = (await ken.get(DESK + "/queue"))["mine"]
    assert own["ghost"] is True
    # The bridge may not come as itself, nor as somebody outside of its names.
    body = {"channel": "line", "channel_id": channel_id}
    await refused(mio.post(DESK + "/cases", body), 400, "M_MISSING_PARAM")
    await refused(mio.post(DESK + "/cases", body, user_id=keeper.user_id), 403, "M_FORBIDDEN")


async def test_a_draining_channel_keeps_running_cases_and_takes_no_new_ones(desk: Desk) -> None:
    channel_id, _ = await relay(desk)
    mio, late = await ghost(desk), await ghost(desk)
    body = {"channel": "line", "channel_id": channel_id}
    opened = await mio.post(DESK + "/cases", body, user_id=mio.user_id)
    await desk.run("channel", "set", channel_id, "--mode", "draining", "--reason", "drill")
    assert await mio.post(DESK + "/cases", body, user_id=mio.user_id) == opened
    no = await refused(late.post(DESK + "/cases", body, user_id=late.user_id), 403, "JP_MADOGUCHI_CLOSED")
    assert no.body["reason"] == "channel"
    assert no.body["web_url"].startswith("http")
    assert [entry for entry in no.body["guidance"] if entry["id"] == "kodomo_sos"]
    await desk.run("channel", "set", channel_id, "--mode", "contact_point", "--reason", "drill is over")
    await late.post(DESK + "/cases", body, user_id=late.user_id)


async def test_who_can_read_follows_the_channels(desk: Desk) -> None:
    readers = (await desk.line.call("GET", DESK + "/desk"))["readers"]
    assert not [reader for reader in readers if reader["kind"] == "app"]
    await relay(desk)
    [app] = [r for r in (await desk.line.call("GET", DESK + "/desk"))["readers"] if r["kind"] == "app"]
    assert app["reads"] is True and "LINE" in app["who"]


async def test_staff_from_the_command_line(desk: Desk) -> None:
    localpart = f"staff-{secrets.token_hex(4)}"
    told = await desk.run("staff", "add", localpart, "--name", "桜", "--role", "supervisor", "--capacity", "3")
    person = await desk.enters(f"@{localpart}:{SERVER_NAME}", told.rpartition("password: ")[2].strip())
    assert (await person.get(DESK + "/me"))["capacity"] == 3
    mio, opened = await desk.arrives()
    await person.post(f"{DESK}/cases/{opened['case_id']}/accept")
    assert f"{person.user_id}\t桜\tsupervisor\tcapacity 3\tactive" in await desk.run("staff", "list")
    await desk.run("staff", "disable", localpart)
    await refused(person.get(DESK + "/me"), 401, "M_UNKNOWN_TOKEN")
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "waiting"
    assert "disabled" in next(line for line in (await desk.run("staff", "list")).splitlines() if localpart in line)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        await desk.run("staff", "add", localpart, "--name", "桜")
    assert "taken" in failed.value.stderr and "Traceback" not in failed.value.stderr


async def test_an_administrator_switches_a_channel_and_sees_whom_it_touches(desk: Desk) -> None:
    admin = await desk.administrator()
    channel_id, _ = await relay(desk)
    person = await ghost(desk)
    body = {"channel": "line", "channel_id": channel_id}
    await person.call("POST", DESK + "/cases", body, user_id=person.user_id)

    async def seen() -> Json:
        channels = (await admin.get(DESK + "/channels"))["channels"]
        return next(channel for channel in channels if channel["id"] == channel_id)

    before = await seen()
    assert (before["running"], before["mode"]) == (1, "relay")
    assert before["modes"] == ["contact_point", "relay", "draining", "notice_only", "closed", "emergency"]
    path = f"{DESK}/channels/{channel_id}/mode"
    told = await admin.put(path, {"mode": "draining", "reason": "年度末の切り替え"})
    assert next(one for one in told["channels"] if one["id"] == channel_id)["mode"] == "draining"
    after = await seen()
    last = after["changes"][-1]
    assert (last["by"], last["mode_before"], last["mode_after"], last["reason"]) == (
        admin.user_id, "relay", "draining", "年度末の切り替え",
    )  # fmt: skip
    assert after["running"] == 1
    # What makes no sense is refused, and changes nothing.
    for wrong, status in (
        ({"mode": "open", "reason": "r"}, 400),
        ({"mode": "relay", "reason": "  "}, 400),
        ({"mode": "relay"}, 400),
        ({"mode": "gone", "reason": "r"}, 400),
    ):
        await refused(admin.put(path, wrong), status)
    await refused(admin.put(f"{DESK}/channels/nosuch/mode", {"mode": "closed", "reason": "r"}), 404)
    await refused(admin.put(f"{DESK}/channels/web/mode", {"mode": "relay", "reason": "r"}), 400)
    assert (await seen())["mode"] == "draining"
    entries = (await admin.get(DESK + "/audit", limit=1))["entries"]
    assert (entries[0]["act"], entries[0]["subject"]) == ("channel.switched", channel_id)


async def test_a_connection_is_checked_by_the_bridges_and_seen_by_administrators(desk: Desk) -> None:
    admin = await desk.administrator()
    channel_id, _ = await relay(desk)
    path = f"{DESK}/channels/{channel_id}/check"

    def check(told: Json) -> Json:
        found: Json = next(one for one in told["channels"] if one["id"] == channel_id)["check"]
        return found

    assert check(await admin.get(DESK + "/channels")) is None
    asked = check(await admin.post(path))
    assert asked["checked_at"] is None and asked["findings"] == []
    # A question that stands is not asked twice.
    assert check(await admin.post(path)) == asked
    finding = {"step": "token", "state": "wrong", "why": "unauthorized", "value": ""}
    answer = f"checked_at = now(), findings = '{json.dumps([finding])}' WHERE channel_id = '{channel_id}'"
    desk.workers.postgres.psql(f"UPDATE channel_checks SET {answer}", "madoguchi")
    seen = check(await admin.get(DESK + "/channels"))
    assert seen["checked_at"] is not None and seen["findings"] == [finding]
    assert check(await admin.post(path))["checked_at"] is None
    await refused(admin.post(f"{DESK}/channels/web/check"), 400)
    await refused(admin.post(f"{DESK}/channels/nosuch/check"), 404)


def test_what_can_be_wrong_has_its_words_everywhere() -> None:
    page = (ROOT / "client-web/src/screens/admin/checks.ts").read_text()
    known = set(re.findall(r'"check\.why\.(\w+)"', page))
    assert known == MEND.keys() | {"console"}
    sources = [(ROOT / "bridges/madoguchi_bridges" / name).read_text() for name in BY_CHECKS]
    said = {word for source in sources for word in re.findall(r'"(?:wrong|look)", "(\w+)"', source)}
    assert said and said <= MEND.keys()
    assert {*STATUSES.values(), *REASONS.values()} <= MEND.keys()
