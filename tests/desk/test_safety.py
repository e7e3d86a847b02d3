"""What somebody with bad intent tries against the rooms of cases and the people in them."""

import secrets
from pathlib import Path

import pytest
import yaml

from tests.cast import DESK, V1, V3, Json, Person, refused, segment
from tests.desk.conftest import KEEPER, Desk
from tests.desk.test_cases import accepts, invites
from tests.desk.test_channels import ghost, relay
from tests.house import SERVER_NAME

SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnAC", "session_id": "s", "device_id": "D"}
SECRET = "誰にも言わないで"


async def talking(desk: Desk) -> tuple[Person, Person, Json]:
    """A young person and a counsellor in a case's room."""
    ken, keeper = await desk.staff("健"), await desk.keeper()
    mio, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    await ken.joins(opened["room_id"])
    return mio, ken, opened


# -- nothing in clear ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"msgtype": "m.text", "body": SECRET},
        {**SEALED, "body": SECRET},
        {**SEALED, "ciphertext": ""},
        {**SEALED, "algorithm": "m.none"},
        {"ciphertext": SECRET},
    ],
)
async def test_what_is_only_called_encrypted_is_refused(desk: Desk, content: Json) -> None:
    mio, opened = await desk.arrives()
    await refused(mio.sends(opened["room_id"], "m.room.encrypted", content), 403, "M_FORBIDDEN")
    await mio.sends(opened["room_id"], "m.room.encrypted", SEALED)


async def test_a_reaction_in_clear_is_refused(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    said = await mio.sends(opened["room_id"], "m.room.encrypted", SEALED)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": SECRET}}
    await refused(mio.sends(opened["room_id"], "m.reaction", reaction), 403, "M_FORBIDDEN")


async def test_a_membership_says_nothing_in_clear(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    room = opened["room_id"]
    for person in (mio, ken):
        words = {"membership": "join", "displayname": SECRET, "reason": SECRET, "jp.example.note": SECRET}
        await person.sets(room, "m.room.member", words, person.user_id)
        assert SECRET not in str(await person.state(room, "m.room.member", person.user_id))
    await mio.sets(room, "m.room.member", {"membership": "leave", "reason": SECRET}, mio.user_id)
    assert SECRET not in str(await ken.reads_all(room))
    assert desk.workers.postgres.psql(f"SELECT 1 FROM events WHERE body LIKE '%{SECRET}%'", "madoguchi") == ""


async def test_a_desks_room_keeps_its_version(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    keeper = await desk.keeper()
    for person in (mio, ken, keeper):
        path = f"{V3}/rooms/{segment(opened['room_id'])}/upgrade"
        await refused(person.post(path, {"new_version": "12"}), 403, "M_FORBIDDEN")


async def test_what_makes_up_the_room_is_not_taken_back(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    room = opened["room_id"]
    state = {event["type"]: event for event in await ken.get(f"{V3}/rooms/{segment(room)}/state")}
    for type_ in ("m.room.encryption", "m.room.power_levels", "m.room.join_rules", "jp.madoguchi.case"):
        for person in (mio, ken):
            await refused(person.redacts(room, state[type_]["event_id"]), 403, "M_FORBIDDEN")
    assert (await mio.state(room, "m.room.encryption"))["algorithm"] == "m.megolm.v1.aes-sha2"


async def test_nobody_takes_back_what_somebody_else_said(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    said = await mio.sends(opened["room_id"], "m.room.encrypted", SEALED)
    await refused(ken.redacts(opened["room_id"], said), 403, "M_FORBIDDEN")
    await mio.redacts(opened["room_id"], said)


async def test_a_reaction_taken_back_is_not_taken_for_a_message(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    room, marks = opened["room_id"], {}
    for mark in ({}, {"jp.madoguchi.quiet": True}, {"jp.madoguchi.quiet": "x" * 30}):
        said = await mio.sends(room, "m.room.encrypted", SEALED | mark)
        await mio.redacts(room, said)
        left = await ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(said)}")
        assert left["content"] == {}
        marks[str(mark)] = left["unsigned"]["redacted_because"]["content"].get("jp.madoguchi.quiet")
    assert list(marks.values()) == [None, True, None]


# -- nobody else ---------------------------------------------------------------------------------------------------


async def test_nobody_but_the_keeper_changes_what_the_room_is_like(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    room = opened["room_id"]
    attempts: list[tuple[str, Json]] = [
        ("m.room.encryption", {"algorithm": "m.none"}),
        ("m.room.power_levels", {"users": {mio.user_id: 100, ken.user_id: 100}}),
        ("m.room.history_visibility", {"history_visibility": "world_readable"}),
        ("m.room.join_rules", {"join_rule": "public"}),
        ("m.room.guest_access", {"guest_access": "can_join"}),
        ("m.room.canonical_alias", {"alias": f"#x:{SERVER_NAME}"}),
        ("m.room.tombstone", {"body": SECRET, "replacement_room": room}),
        ("m.room.name", {"name": SECRET}),
        ("m.room.topic", {"topic": SECRET}),
        ("m.room.pinned_events", {"pinned": [SECRET]}),
        ("jp.madoguchi.case", {"state": "closed"}),
    ]
    for type_, content in attempts:
        for person in (mio, ken):
            await refused(person.sets(room, type_, content), 403, "M_FORBIDDEN")


async def test_a_case_has_no_public_name_and_strangers_do_not_learn_of_it(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    aoi, room = await desk.person("aoi"), opened["room_id"]
    alias = f"#mado-{secrets.token_hex(4)}:{SERVER_NAME}"
    for person in (mio, ken):
        await refused(person.put(f"{V3}/directory/room/{segment(alias)}", {"room_id": room}), 403, "M_FORBIDDEN")
        await refused(person.put(f"{V3}/directory/list/room/{segment(room)}", {"visibility": "public"}), 403)
    nowhere = f"!{secrets.token_hex(9)}:{SERVER_NAME}"
    questions = [
        ("GET", f"{V3}/directory/list/room/{{}}", None),
        ("PUT", f"{V3}/directory/list/room/{{}}", {"visibility": "private"}),
        ("GET", f"{V1}/room_summary/{{}}", None),
        ("GET", f"{V3}/rooms/{{}}/state", None),
        ("GET", f"{V3}/rooms/{{}}/members", None),
        ("GET", f"{V3}/rooms/{{}}/messages?dir=b", None),
        ("GET", f"{V3}/rooms/{{}}/aliases", None),
        ("GET", f"{V3}/rooms/{{}}/event/$x", None),
        ("POST", f"{V3}/join/{{}}", {}),
        ("POST", f"{V3}/knock/{{}}", {}),
        ("POST", f"{V3}/rooms/{{}}/leave", {}),
        ("POST", f"{V3}/rooms/{{}}/forget", {}),
        ("POST", f"{V3}/rooms/{{}}/invite", {"user_id": aoi.user_id}),
        ("POST", f"{V3}/rooms/{{}}/read_markers", {"m.read": "$x"}),
        ("PUT", f"{V3}/rooms/{{}}/typing/{segment(aoi.user_id)}", {"typing": True}),
        ("PUT", f"{V3}/rooms/{{}}/send/m.room.encrypted/1", SEALED),
    ]
    for method, path, body in questions:
        there = await refused(aoi.call(method, path.format(segment(room)), body))
        assert there.body == (await refused(aoi.call(method, path.format(segment(nowhere)), body))).body, path
    for where in (room, nowhere):
        assert await aoi.post(f"{V3}/rooms/{segment(where)}/report", {"reason": "?"}) == {}
    for whom in (mio.user_id, f"@nobody:{SERVER_NAME}"):
        assert await aoi.post(f"{V3}/users/{segment(whom)}/report", {"reason": "?"}) == {}


async def test_who_turned_an_invitation_down_or_lost_it_sees_nothing_of_the_room(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    _, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    room = segment(opened["room_id"])
    paths = ("state", "members", "members?at=s1", "messages?dir=b", "state/jp.madoguchi.case/")
    for path in paths:
        await refused(ken.get(f"{V3}/rooms/{room}/{path}"), 403, "M_FORBIDDEN")
    await ken.leaves(opened["room_id"])
    for path in paths:
        await refused(ken.get(f"{V3}/rooms/{room}/{path}"), 403, "M_FORBIDDEN")


async def test_who_was_removed_reads_nothing_that_came_later(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    await accepts(ken, case)
    await invites(keeper)
    await ken.joins(room)
    since = (await ken.sync())["next_batch"]
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "end of shift"})
    await invites(keeper)
    await sato.joins(room)
    await invites(keeper)
    later = await mio.sends(room, "m.room.encrypted", SEALED)
    assert later not in str(await ken.reads_all(room))
    assert later not in str(await ken.sync(since=since))
    assert later not in str(await ken.sync(full_state=True))
    for path in (f"event/{segment(later)}", f"context/{segment(later)}"):
        await refused(ken.get(f"{V3}/rooms/{segment(room)}/{path}"), 404)
    await refused(ken.sends(room, "m.room.encrypted", SEALED), 403, "M_FORBIDDEN")
    await refused(ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(later)}"), 403, "M_FORBIDDEN")


# -- accounts that one tap makes -------------------------------------------------------------------------------------


async def test_an_account_from_one_tap_is_no_way_to_look_around(desk: Desk) -> None:
    ken, (mio, _) = await desk.staff("健"), await desk.arrives()
    keys = {
        "user_id": ken.user_id,
        "device_id": ken.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"curve25519:{ken.device_id}": "c", f"ed25519:{ken.device_id}": "e"},
        "signatures": {ken.user_id: {f"ed25519:{ken.device_id}": "s"}},
    }
    once = {"signed_curve25519:A": {"key": "k", "signatures": {}}}
    await ken.post(f"{V3}/keys/upload", {"device_keys": keys, "one_time_keys": once})
    nobody = f"@nobody-{secrets.token_hex(4)}:{SERVER_NAME}"
    asked = await mio.post(f"{V3}/keys/query", {"device_keys": {ken.user_id: [], nobody: []}})
    assert asked["device_keys"] == {ken.user_id: {}, nobody: {}}
    claim = {"one_time_keys": {ken.user_id: {ken.device_id: "signed_curve25519"}}}
    assert (await mio.post(f"{V3}/keys/claim", claim))["one_time_keys"] == {}
    await mio.put(f"{V3}/sendToDevice/m.dummy/{secrets.token_hex(4)}", {"messages": {ken.user_id: {"*": {"n": 1}}}})
    assert (await ken.sync())["to_device"]["events"] == []
    for user_id in (ken.user_id, nobody):
        await refused(mio.post(f"{V3}/createRoom", {"invite": [user_id]}), 403, "M_FORBIDDEN")
        await refused(mio.get(f"{V3}/profile/{segment(user_id)}"), 403, "M_FORBIDDEN")
        await refused(mio.get(f"{V3}/presence/{segment(user_id)}/status"), 403, "M_FORBIDDEN")
    await refused(mio.get(f"{V1}/admin/lock/{segment(ken.user_id)}"), 403, "M_FORBIDDEN")


async def test_in_the_room_they_find_each_other(desk: Desk) -> None:
    mio, ken, _ = await talking(desk)
    await mio.put(f"{V3}/sendToDevice/m.dummy/{secrets.token_hex(4)}", {"messages": {ken.user_id: {"*": {"n": 1}}}})
    [event] = (await ken.sync())["to_device"]["events"]
    assert (event["sender"], event["content"]) == (mio.user_id, {"n": 1})
    heavy = {"messages": {ken.user_id: {"*": {"n": "x" * 200_000}}}}
    await refused(mio.put(f"{V3}/sendToDevice/m.dummy/{secrets.token_hex(4)}", heavy), 413, "M_TOO_LARGE")


# -- bridges -------------------------------------------------------------------------------------------------------


async def test_somebody_on_an_app_is_never_shown_as_sealed(desk: Desk) -> None:
    await relay(desk)
    mio = await ghost(desk)
    for channel in ("web", "matrix"):
        await refused(mio.post(DESK + "/cases", {"channel": channel}, user_id=mio.user_id), 403, "M_FORBIDDEN")
    desk_alias = segment(f"#desk:{SERVER_NAME}")
    await refused(mio.post(f"{V3}/join/{desk_alias}", {}, user_id=mio.user_id), 403, "M_FORBIDDEN")


async def test_a_bridge_reaches_nobody_of_the_desk_however_wide_its_names(desk: Desk, tmp_path: Path) -> None:
    admin, keeper = await desk.administrator(), await desk.keeper()
    mio, opened = await desk.arrives()
    registration = yaml.safe_load((desk.workers.directory / "data/keys/registration-bridges.yaml").read_text())
    token = registration["as_token"]
    for person in (admin, keeper, mio):
        for method, path in (("GET", f"{V3}/account/whoami"), ("GET", DESK + "/queue"), ("GET", DESK + "/staff")):
            await refused(desk.line.call(method, path, token=token, user_id=person.user_id), 403, "M_FORBIDDEN")
        login = {"type": "m.login.application_service", "identifier": {"type": "m.id.user", "user": person.user_id}}
        await refused(desk.line.call("POST", f"{V3}/login", login, token=token), 400, "M_EXCLUSIVE")
    for method, path in (("GET", "/queue"), ("GET", "/staff"), ("GET", "/status"), ("GET", "/keeper/vault_key")):
        await refused(desk.line.call(method, DESK + path, token=token), 403, "M_FORBIDDEN")
    await refused(desk.line.call("GET", f"{V3}/rooms/{segment(opened['room_id'])}/state", token=token), 403)


async def test_the_desks_own_accounts_are_not_locked_out(desk: Desk) -> None:
    admin = await desk.administrator()
    for what, body in (("lock", {"locked": True}), ("suspend", {"suspended": True})):
        for user_id in (KEEPER, f"@bridges:{SERVER_NAME}"):
            await refused(admin.put(f"{V1}/admin/{what}/{segment(user_id)}", body), 403, "M_FORBIDDEN")


async def test_only_of_staff_is_it_noted_where_they_call_from(desk: Desk) -> None:
    admin, aoi = await desk.administrator(), await desk.person("aoi")
    mio, _ = await desk.arrives()
    for person in (aoi, mio, admin):
        await person.get(f"{V3}/account/whoami")
    noted = {}
    for person in (aoi, mio, admin):
        devices = (await admin.get(f"{V3}/admin/whois/{segment(person.user_id)}"))["devices"]
        noted[person.user_id] = any(
            "ip" in c for d in devices.values() for s in d["sessions"] for c in s["connections"]
        )
    assert not noted[aoi.user_id] and not noted[mio.user_id]
    # Whoever looks somebody else up stands in the log, each time; oneself one may look at.
    looks = (await admin.get(DESK + "/audit", limit=2))["entries"]
    assert [(each["act"], each["subject"]) for each in looks] == [
        ("account.looked_up", mio.user_id), ("account.looked_up", aoi.user_id),
    ]  # fmt: skip
    for what, value, act in (
        ("lock", True, "locked"), ("lock", False, "unlocked"), ("suspend", True, "suspended"),
        ("suspend", False, "resumed"),
    ):  # fmt: skip
        await admin.put(f"{V1}/admin/{what}/{segment(aoi.user_id)}", {f"{what}ed": value})
        [newest] = (await admin.get(DESK + "/audit", limit=1))["entries"]
        assert (newest["act"], newest["subject"], newest["actor"]) == (f"account.{act}", aoi.user_id, admin.user_id)


# -- what is somebody else's -------------------------------------------------------------------------------------------


async def test_what_is_somebody_elses_is_out_of_reach(desk: Desk) -> None:
    mio, aoi = await desk.person("mio"), await desk.person("aoi")
    me, room = segment(mio.user_id), await mio.opens_a_room()
    await mio.put(f"{V3}/user/{me}/account_data/jp.example.note", {"words": SECRET})
    kept = await mio.post(f"{V3}/user/{me}/filter", {"room": {"timeline": {"limit": 7}}})
    backup = (await mio.post(f"{V3}/room_keys/version", {"algorithm": "a", "auth_data": {"public_key": SECRET}}))[
        "version"
    ]
    media = (await mio.post("/_matrix/media/v1/create"))["content_uri"].removeprefix("mxc://")
    attempts: list[tuple[str, str, Json | None]] = [
        ("GET", f"{V3}/user/{me}/account_data/jp.example.note", None),
        ("PUT", f"{V3}/user/{me}/account_data/jp.example.note", {}),
        ("GET", f"{V3}/user/{me}/rooms/{segment(room)}/account_data/jp.example.note", None),
        ("PUT", f"{V3}/user/{me}/rooms/{segment(room)}/account_data/jp.example.note", {}),
        ("GET", f"{V3}/user/{me}/rooms/{segment(room)}/tags", None),
        ("PUT", f"{V3}/user/{me}/rooms/{segment(room)}/tags/u.x", {}),
        ("DELETE", f"{V3}/user/{me}/rooms/{segment(room)}/tags/u.x", None),
        ("GET", f"{V3}/user/{me}/filter/{kept['filter_id']}", None),
        ("POST", f"{V3}/user/{me}/filter", {}),
        ("GET", f"{V3}/devices/{segment(mio.device_id)}", None),
        ("PUT", f"{V3}/devices/{segment(mio.device_id)}", {"display_name": "x"}),
        ("PUT", f"{V3}/profile/{me}/displayname", {"displayname": "x"}),
        ("DELETE", f"{V3}/profile/{me}/displayname", None),
        ("PUT", f"{V3}/presence/{me}/status", {"presence": "online"}),
        ("PUT", f"{V3}/rooms/{segment(room)}/typing/{me}", {"typing": True}),
        ("GET", f"{V3}/admin/whois/{me}", None),
        ("PUT", f"{V1}/admin/lock/{me}", {"locked": True}),
        ("GET", f"{V3}/room_keys/version/{backup}", None),
        ("GET", f"{V3}/room_keys/keys?version={backup}", None),
        ("DELETE", f"{V3}/room_keys/version/{backup}", None),
        ("PUT", f"/_matrix/media/v3/upload/{media}", {}),
        ("GET", f"{V3}/rooms/{segment(room)}/state", None),
        ("POST", f"{V3}/rooms/{segment(room)}/receipt/m.read/$x", {}),
    ]
    for method, path, body in attempts:
        told = await refused(aoi.call(method, path, body))
        assert told.status in (403, 404), (method, path, told)
        assert SECRET not in str(told.body)
    # Deleting a device that one does not have changes nothing for the one who has it.
    auth = {
        "type": "m.login.password",
        "password": aoi.password,
        "identifier": {"type": "m.id.user", "user": aoi.user_id},
    }
    await aoi.delete(f"{V3}/devices/{segment(mio.device_id)}", {"auth": auth})
    await mio.get(f"{V3}/account/whoami")
