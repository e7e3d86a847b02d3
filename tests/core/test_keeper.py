"""The keeper: keys into the vault, history to whoever is sent in, and nothing forgotten over a crash."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from nacl.public import PrivateKey
from nacl.signing import SigningKey
from nio import UnknownToDeviceEvent
from nio.crypto import InboundGroupSession, OutboundGroupSession

from madoguchi.cli import main
from madoguchi.crypto import identity, key_bundle, roster
from madoguchi.crypto.cross_signing import CrossSigningKeys, encode_base64
from madoguchi.crypto.device import AgentDevice, IdentityLost, Login, Refused
from madoguchi.crypto.sealed_file import SealedFile
from madoguchi.keeper import history, recovery
from madoguchi.keeper.copies import STATE_FILE, Copies
from madoguchi.keeper.guest_list import GuestList
from madoguchi.keeper.ledger import Ledger
from madoguchi.keeper.process import _FILTER, Keeper
from madoguchi.keeper.recovery import Brought, NotOpened, Secrets
from madoguchi.keeper.sealing import Seal, Sealer
from madoguchi.vault import pin, sealing
from tests.core.homeserver import Homeserver

KEY = bytes(range(32))
ROOM = "!case:x"


class Play:
    """A server, and people who come and go."""

    def __init__(self, server: Homeserver, home: Path) -> None:
        self.server, self.home = server, home
        self.private_key = sealing.make_private_key()
        self.open: list[AgentDevice] = []

    async def person(self, name: str) -> AgentDevice:
        device = AgentDevice(self.server.url, f"@{name}:x", self.home / name, KEY, name=name)
        self.open.append(device)
        await device.start(Login.by_password("p"))
        return device

    async def keeper(self) -> Keeper:
        device = AgentDevice(
            self.server.url, "@keeper:x", self.home / "keeper", KEY, name="k", follows_rooms=False, sync_filter=_FILTER,
            begins_anew=False,
        )  # fmt: skip
        self.open.append(device)
        await device.start(Login.by_password("p"))
        ledger = Ledger(device.kept)
        guest_list = GuestList(device, self.home / "roster.pub", self.home / "roster.number")
        sealer = Sealer(device, ledger, Seal(self.home, pin.refused(self.home), ledger))
        copies = Copies(device, ledger, self.home / "recovery.pub", SealedFile(self.home / "keeper" / STATE_FILE, KEY))
        return Keeper(device, ledger, guest_list, sealer, copies, Brought(self.home / "keeper", KEY))

    async def says(self, who: AgentDevice, text: str) -> None:
        await who.sync_once(0)
        await who.say(ROOM, {"msgtype": "m.text", "body": text}, text)

    def makes_vault(self) -> None:
        """As the operator does, who says on the keeper's machine which it is."""
        pin.write(self.home, sealing.public_of(self.private_key))
        self.server.vault_key = vault_of(self.private_key)

    def in_vault(self) -> list[sealing.SessionSecret]:
        return [sealing.unseal(self.private_key, key["raw"]) for key in self.server.vault.values()]


def vault_of(private_key: bytes) -> dict[str, str]:
    """What a server answers about the vault."""
    public = sealing.public_of(private_key)
    return {"public_key": base64.b64encode(public).decode(), "key_id": sealing.key_id(public)}


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    server = Homeserver()
    await server.start()
    play = Play(server, tmp_path)
    server.makes_room(ROOM, ["@mio:x", "@keeper:x"])
    yield play
    for device in play.open:
        await device.close()
    await server.stop()


async def test_every_session_reaches_the_vault(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    assert await keeper.sealer.put_waiting() == 1
    (secret,) = play.in_vault()
    (session,) = mio.machine.sessions_of(ROOM)
    assert (secret.session_id, secret.first_index, secret.session_key) == (session.id, 0, session.export_session(0))
    assert secret.signing_key == mio.machine.account.identity_keys["ed25519"]
    assert await keeper.sealer.put_waiting() == 0


async def test_keys_wait_for_a_vault_over_a_restart(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    assert await keeper.sealer.put_waiting() == 0
    await keeper.device.close()
    again = await play.keeper()
    play.makes_vault()
    assert await again.sealer.put_waiting() == 1
    await again.device.close()
    # An answer that got lost, or a crash before it was noted, costs nothing: the same key goes there again.
    once_more = await play.keeper()
    assert await once_more.sealer.put_waiting() == 0
    assert len(play.in_vault()) == 1


async def test_a_lost_answer_of_the_vault_is_asked_for_again(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    # aiohttp itself tries a PUT a second time.
    play.server.lost["PUT", "/keeper/vault_keys"] = 2
    with pytest.raises(Exception):  # noqa: B017 - whichever way the line broke
        await keeper.sealer.put_waiting()
    assert await keeper.sealer.put_waiting() == 1
    assert len(play.in_vault()) == 1


async def test_a_new_vault_key_gets_everything(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    await keeper.sealer.put_waiting()
    await keeper.device.close()
    play.private_key = sealing.make_private_key()
    play.makes_vault()
    again = await play.keeper()
    assert await again.sealer.put_waiting() == 1
    assert len(play.in_vault()) == 1


async def test_nothing_is_sealed_to_a_vault_of_the_servers_own(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    rogue = sealing.make_private_key()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    # Before there is any vault; beside the operator's, under its name, too; and in the place of one that was in use.
    play.server.vault_key = vault_of(rogue)
    assert await keeper.sealer.put_waiting() == 0
    play.makes_vault()
    true = vault_of(play.private_key)
    for lie in (vault_of(rogue), vault_of(rogue) | {"key_id": true["key_id"]}):
        play.server.vault_key = lie
        assert await keeper.sealer.put_waiting() == 0
        assert pin.was_refused(play.home)
    assert pin.refused(play.home).read_text() == sealing.key_id(sealing.public_of(rogue))
    assert play.server.vault == {}
    play.server.vault_key = true
    assert await keeper.sealer.put_waiting() == 1
    assert not pin.was_refused(play.home)
    await keeper.device.close()
    play.server.vault_key = vault_of(rogue)
    again = await play.keeper()
    mio.invalidate_outbound_session(ROOM)
    await play.says(mio, "まだ")
    await again.device.sync_once(0)
    assert await again.sealer.put_waiting() == 0 and pin.was_refused(play.home)
    assert len(play.in_vault()) == 1
    # Nothing was lost meanwhile.
    play.server.vault_key = true
    assert await again.sealer.put_waiting() == 1
    assert len(play.in_vault()) == 2


async def test_a_keeper_that_took_its_vault_from_the_server_goes_on_with_that_one(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    await keeper.sealer.put_waiting()
    await keeper.device.close()
    (play.home / pin.KEY_FILE).unlink()
    play.server.vault_key = vault_of(sealing.make_private_key())
    again = await play.keeper()
    assert await again.sealer.put_waiting() == 0 and pin.was_refused(play.home)
    play.server.vault_key = vault_of(play.private_key)
    assert await again.sealer.put_waiting() == 0 and not pin.was_refused(play.home)
    assert pin.is_it(play.home, sealing.public_of(play.private_key))


async def test_a_database_older_than_the_keeper_gets_everything_again(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    await keeper.sealer.put_waiting()
    await keeper.device.close()
    play.server.vault.clear()
    again = await play.keeper()
    assert await again.sealer.put_waiting() == 1
    assert len(play.in_vault()) == 1


async def test_whom_the_desk_sends_gets_the_history_before_the_invitation(play: Play) -> None:
    keeper, mio, ken = await play.keeper(), await play.person("mio"), await play.person("ken")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    play.server.invitations = [{"case_id": "c", "room_id": ROOM, "user_id": "@ken:x"}]
    await keeper.door._ask(None)
    assert play.server.done == [("invite", ROOM, "@ken:x")]
    told = [line for line in play.server.log if "sendToDevice" in line or line.endswith("/invite")]
    assert told[-1].endswith("/invite")
    assert play.server.given == [("@ken:x", 1, 1)]
    assert await receive(ken) == 1


async def test_who_moves_to_an_app_is_let_in_without_the_history(play: Play) -> None:
    keeper, mio, there = await play.keeper(), await play.person("mio"), await play.person("telegram_a")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    play.server.invitations = [{"case_id": "c", "room_id": ROOM, "user_id": "@telegram_a:x", "history": False}]
    await keeper.door._ask(None)
    assert play.server.done == [("invite", ROOM, "@telegram_a:x")]
    await one_round(keeper)
    assert play.server.given == [] and await receive(there) == 0


async def test_what_no_sync_has_brought_yet_is_waited_for(play: Play) -> None:
    keeper, mio, ken = await play.keeper(), await play.person("mio"), await play.person("ken")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    mio.invalidate_outbound_session(ROOM)
    await play.says(mio, "いま書いた")
    coming = asyncio.create_task(keeper.door.bring_in(ROOM, "@ken:x"))
    await asyncio.sleep(0.3)
    assert not coming.done() and play.server.done == play.server.given == []
    await keeper.device.sync_once(0)
    await coming
    assert play.server.given == [("@ken:x", 2, 1)] and play.server.done == [("invite", ROOM, "@ken:x")]
    assert await receive(ken) == 2


async def test_a_key_that_came_after_the_gift_is_given_too(play: Play) -> None:
    keeper, mio, ken = await play.keeper(), await play.person("mio"), await play.person("ken")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    await keeper.door.bring_in(ROOM, "@ken:x")
    mio.invalidate_outbound_session(ROOM)
    await play.says(mio, "まだ")
    await keeper.device.sync_once(0)
    await one_round(keeper)
    assert await receive(ken) == 2
    # Once in the room, with everything given, nobody looks after the guest any more.
    play.server.says(
        ROOM, {"type": "m.room.member", "state_key": "@ken:x", "sender": "@ken:x", "content": {"membership": "join"}}
    )
    await keeper.device.sync_once(0)
    await one_round(keeper)
    assert keeper.ledger.guests() == []


async def test_somebody_without_a_signed_device_gets_the_history_when_there_is_one(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    await keeper.door.bring_in(ROOM, "@ken:x")
    assert play.server.done == [("invite", ROOM, "@ken:x")]
    await keeper.device.close()
    ken, again = await play.person("ken"), await play.keeper()
    await one_round(again)
    assert await receive(ken) == 1


@pytest.mark.parametrize("closed", [{"visibility": "joined"}, {"case_state": "closed"}])
async def test_no_history_where_newcomers_may_not_read_it(play: Play, closed: dict[str, str]) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    # Who has no device yet is looked after; by the time that they have one the case has ended.
    await keeper.door.bring_in(ROOM, "@sato:x")
    play.server.makes_room(ROOM, ["@mio:x", "@keeper:x"], **closed)
    ken, sato = await play.person("ken"), await play.person("sato")
    await keeper.door.bring_in(ROOM, "@ken:x")
    await one_round(keeper)
    assert play.server.done == [("invite", ROOM, "@sato:x"), ("invite", ROOM, "@ken:x")]
    assert await receive(ken) == await receive(sato) == 0
    assert play.server.given == [] and keeper.ledger.guests() == []


async def test_whom_the_roster_does_not_vouch_for_gets_neither_history_nor_invitation(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_STRANGERS_S", 0)
    keeper, mio, ken = await play.keeper(), await play.person("mio"), await play.person("ken")
    aoi = await play.person("aoi")
    await play.says(mio, "眠れない")
    await keeper.device.sync_once(0)
    operator = SigningKey.generate()
    key = encode_base64(bytes(operator.verify_key))
    (play.home / "roster.pub").write_text(key + "\n")

    def issues(
        number: int, *people: str, by: SigningKey | None = None, after: Sequence[roster.Succession] = ()
    ) -> None:
        masters = {name: next(iter(play.server.cross[name]["master_key"]["keys"].values())) for name in people}
        staff = [roster.Entry(name, name, "counsellor", master) for name, master in masters.items()]
        play.server.roster = roster.sign(by or operator, "x", number, datetime.now(UTC), staff, after)

    async def lets_in(user_id: str, **more: bool) -> str | None:
        play.server.done.clear(), play.server.reports.clear()
        play.server.invitations = [{"case_id": "c", "room_id": ROOM, "user_id": user_id, **more}]
        keeper.door._turned_away.clear()
        await keeper.door._ask(None)
        assert bool(play.server.done) != bool(play.server.reports)
        return play.server.reports[0][0] if play.server.reports else None

    issues(2, "@ken:x")
    assert await lets_in("@aoi:x") == "stranger"
    assert await receive(aoi) == 0
    assert await lets_in("@ken:x") is None
    assert await receive(ken) == 1
    issues(1, "@ken:x", "@aoi:x")
    assert await lets_in("@aoi:x") == "roster_back"
    issues(3, "@ken:x", "@aoi:x", by=SigningKey.generate())
    assert await lets_in("@aoi:x") == "roster_unverified"
    play.server.roster = None
    assert await lets_in("@aoi:x") == "roster_missing"
    # The operator's key hands over to another. Whoever stole the old one says nothing more here, not by a later number.
    handed = SigningKey.generate()
    step = roster.succeed(operator, handed, "x", datetime.now(UTC))
    issues(4, "@ken:x", by=handed)
    assert await lets_in("@ken:x") == "roster_unverified"
    issues(4, "@ken:x", by=handed, after=[step])
    assert await lets_in("@ken:x") is None
    issues(5, "@ken:x", "@aoi:x")
    assert await lets_in("@aoi:x") == "roster_unverified"
    # Lost, it hands over to none: then it is the operator's own file that counts.
    operator = SigningKey.generate()
    issues(6, "@ken:x")
    assert await lets_in("@ken:x") == "roster_unverified"
    (play.home / "roster.pub").write_text(encode_base64(bytes(operator.verify_key)) + "\n")
    assert await lets_in("@ken:x") is None
    # Other keys in Ken's name, right in themselves, and a device signed by them.
    issues(7, "@ken:x")
    play.server.cross["@ken:x"] = dict(play.server.cross["@aoi:x"])
    assert await lets_in("@ken:x") == "identity"
    assert await receive(aoi) == 0
    # A young person who has moved to another account stands on no roster, and need not; after a restart, too.
    assert await lets_in("@aoi:x", person=True) is None
    assert play.server.given[-1] == ("@aoi:x", 1, 1), "and the desk's audit log says so"
    assert await receive(aoi) == 1
    assert Ledger(keeper.device.kept).is_person(ROOM, "@aoi:x")


async def test_who_should_go_is_removed(play: Play) -> None:
    keeper = await play.keeper()
    play.server.removals = [{"case_id": "c", "room_id": ROOM, "user_id": "@ken:x"}]
    await keeper.door._ask(None)
    assert play.server.done == [("kick", ROOM, "@ken:x")]


async def test_a_missing_key_is_asked_for_and_taken_from_its_maker_only(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madoguchi.keeper.process._PATIENCE_S", 0)
    keeper, mio, aoi = await play.keeper(), await play.person("mio"), await play.person("aoi")
    await play.says(mio, "眠れない")
    play.server.inbox["@keeper:x", keeper.device.device_id].clear()
    await keeper.device.sync_once(0)
    # It comes from the next message on: what was said before stays missing.
    (begun,) = mio.machine.sessions_of(ROOM)
    later = InboundGroupSession.import_session(begun.export_session(1), begun.ed25519, begun.sender_key, ROOM)
    assert keeper.device.machine.keep_session(later)
    await play.says(mio, "まだ起きてる")
    await keeper.device.sync_once(0)
    (missing,) = keeper.ledger.missing()
    await keeper._ask_for(missing)
    asked = [event for _, event in play.server.inbox["@mio:x", mio.device_id] if event["type"] == "m.room_key_request"]
    assert asked[0]["content"]["body"]["session_id"] == missing.session_id
    (session,) = mio.machine.sessions_of(ROOM)
    content = {
        "algorithm": key_bundle.MEGOLM,
        "room_id": ROOM,
        "session_id": session.id,
        "session_key": session.export_session(0),
        "sender_key": session.sender_key,
        "sender_claimed_ed25519_key": session.ed25519,
        "forwarding_curve25519_key_chain": [],
    }
    for person, first in ((aoi, 1), (mio, 0)):
        await person.query_devices(["@keeper:x"])
        keepers = person.machine.device_store.active_user_devices("@keeper:x")
        await person.send_encrypted(keepers, "m.forwarded_room_key", content)
        await keeper.device.sync_once(0)
        assert [each.first_known_index for each in keeper.device.machine.sessions_of(ROOM)] == [first]
    assert keeper.ledger.missing() == []


async def test_who_is_refused_a_key_knows_why(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    content = {"room_id": ROOM, "session_id": "s", "code": "m.unverified", "algorithm": key_bundle.MEGOLM}
    for told in (content, content | {"session_id": "t", "code": "<b>of their own making</b>"}):
        messages = {"@keeper:x": {keeper.device.device_id: told}}
        await mio.call("PUT", "/_matrix/client/v3/sendToDevice/m.room_key.withheld/x", {"messages": messages})
    await keeper.device.sync_once(0)
    rows = keeper.device.kept.database.execute_sql("SELECT * FROM keeper_withheld").fetchall()
    assert rows == [(ROOM, "s", "@mio:x", "m.unverified")]


async def test_a_keeper_without_its_identity_waits_and_puts_no_other_in_its_place(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    await play.says(mio, "眠れない")
    mio.invalidate_outbound_session(ROOM)
    await play.says(mio, "まだ")
    await keeper.device.close()
    before = dict(play.server.cross["@keeper:x"])
    shutil.rmtree(play.home / "keeper")
    for _ in range(2):
        with pytest.raises(IdentityLost):
            await play.keeper()
    assert play.server.cross["@keeper:x"] == before
    identity.give_identity(play.home / "keeper", KEY, keeper.device.identity)
    play.server.timeline_limit = 1
    again = await play.keeper()
    assert play.server.cross["@keeper:x"] == before
    assert again.device.device_id != keeper.device.device_id
    # What was said before is looked for, and asked for.
    await again.device.sync_once(0)
    assert len(again.ledger.missing()) == 1
    stop = asyncio.Event()
    looking = asyncio.create_task(again._look_back(stop))
    async with asyncio.timeout(5):
        while len(again.ledger.missing()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await looking
    assert again.ledger.behind() == []
    # What was brought back is taken up, and goes on to the vault.
    sessions = [key_bundle.exported(session) for session in mio.machine.sessions_of(ROOM)]
    again.brought.put([*sessions, {"room_id": ROOM, "session_id": "damaged"}])
    stop.clear()
    taking = asyncio.create_task(again._take_up(stop))
    async with asyncio.timeout(5):
        while again.brought.sessions():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await taking
    assert again.ledger.missing() == []
    play.makes_vault()
    assert await again.sealer.put_waiting() == 2


def test_only_the_recovery_key_opens_what_was_kept_and_only_the_keeper_makes_it() -> None:
    private = PrivateKey.generate()
    public, keys, secrets = encode_base64(bytes(private.public_key)), CrossSigningKeys.make("@keeper:x"), Secrets.make()
    kept = recovery.seal_identity(public, keys, secrets)
    assert recovery.open_identity(bytes(private), kept, "@keeper:x") == (keys, secrets)
    for lie in ({}, kept | {"sealed": kept["sealed"][:-4] + "AAAA"}, {"sealed": "%"}):
        with pytest.raises(NotOpened):
            recovery.open_identity(bytes(private), lie, "@keeper:x")
    with pytest.raises(NotOpened):
        recovery.open_identity(bytes(PrivateKey.generate()), kept, "@keeper:x")
    with pytest.raises(NotOpened):
        recovery.open_identity(bytes(private), kept, "@keeper:elsewhere")
    outbound = OutboundGroupSession()
    session = InboundGroupSession(outbound.session_key, "ed", "curve", ROOM)
    copy = recovery.backed_up(secrets, session)
    assert recovery.opened_copy(secrets, ROOM, session.id, copy["session_data"]) == key_bundle.exported(session)
    # Anybody can seal to the backup's public key; that it is of another room, or of somebody else's making, is seen.
    forged = recovery.backed_up(Secrets(secrets.private_key, bytes(32)), session)
    for room, data in ((ROOM, forged["session_data"]), ("!other:x", copy["session_data"]), (ROOM, {})):
        with pytest.raises(NotOpened):
            recovery.opened_copy(secrets, room, session.id, data)


def test_what_makes_no_sense_is_said_before_anything_is_done(tmp_path: Path) -> None:
    def told(*words: str, input_: str = "") -> str:
        done = CliRunner().invoke(main, ["keeper", *words, "--data", str(tmp_path)], input=input_)
        assert done.exit_code != 0
        return done.output

    key = str(tmp_path / "key")
    assert "12 characters or more" in told("prepare", "--key", key, input_="short\n")
    assert CliRunner().invoke(
        main, ["keeper", "prepare", "--key", key, "--data", str(tmp_path)], "long enough phrase\n"
    )
    assert "a recovery key already" in told("prepare", "--key", str(tmp_path / "other"))
    assert "exists already" in told("prepare", "--key", key, "--anew")
    assert "Either --key or --new-identity" in told("recover", "--key", key, "--new-identity")
    assert "put the shares into a file" in told("recover", "--key", key, "--vault-key", "-")
    assert "Say why" in told("recover", "--new-identity", "--vault-key", key, input_="\n")
    assert "does not open" in told("recover", "--key", key, input_="another long phrase\n")
    assert "can't be read" in told("recover", "--key", str(tmp_path / "nothing"), input_="x\n")


async def test_the_keeper_keeps_going_when_the_server_goes_away(play: Play) -> None:
    keeper, mio = await play.keeper(), await play.person("mio")
    play.makes_vault()
    play.server.lost["GET", "/sync"] = 2
    play.server.lost["GET", "/keeper/invitations"] = 2
    stop = asyncio.Event()
    work = asyncio.create_task(keeper.run(stop))
    await play.says(mio, "眠れない")
    for _ in range(100):
        if play.in_vault():
            break
        await asyncio.sleep(0.1)
    assert len(play.in_vault()) == 1
    stop.set()
    await asyncio.wait_for(work, 5)


def test_nothing_in_the_keepers_directory_opens_anything(tmp_path: Path) -> None:
    async def live() -> None:
        server = Homeserver()
        await server.start()
        play = Play(server, tmp_path)
        server.makes_room(ROOM, ["@mio:x", "@keeper:x"])
        keeper, mio = await play.keeper(), await play.person("mio")
        await play.says(mio, "眠れない")
        await keeper.device.sync_once(0)
        (session,) = keeper.device.machine.sessions_of(ROOM)
        clear = [session.export_session(0), keeper.device.access_token]
        clear += list(json.loads(json.dumps(keeper.device._state["cross_signing"])).values())
        for device in play.open:
            await device.close()
        await server.stop()
        for path in (tmp_path / "keeper").iterdir():
            assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
            for secret in clear:
                assert secret.encode() not in path.read_bytes()

    asyncio.run(live())


async def one_round(keeper: Keeper) -> None:
    for guest in keeper.ledger.guests():
        await keeper.door._look_after(guest)


async def receive(device: AgentDevice) -> int:
    """Take in the last bundle that came; gives how many sessions it brought."""
    got: list[dict[str, Any]] = []

    async def take(event: UnknownToDeviceEvent) -> None:
        got.append(event.source)

    device.add_to_device_callback(take, UnknownToDeviceEvent)
    await device.sync_once(0)
    return await key_bundle.accept(device, got[-1], "@keeper:x") if got else 0


def test_refusals_say_what_was_refused_and_no_more() -> None:
    told = str(Refused(403, {"errcode": "M_FORBIDDEN", "error": "秘密"}, "PUT /x"))
    assert told == "PUT /x: 403 M_FORBIDDEN"
