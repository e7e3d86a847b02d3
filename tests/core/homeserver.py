"""A tiny homeserver in this process: just enough for our own devices, and able to fail at any request.

For tests of crypto/ and keeper/ that must stop the world at an exact point. What the real server does is tested against
the real server.
"""

import base64
import json
import secrets
from collections import defaultdict
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Json = dict[str, Any]
V3 = "/_matrix/client/v3"


class Homeserver:
    """`url` once started. `fails`: (method, part of the path) → how many times the answer is lost after the deed."""

    def __init__(self) -> None:
        self.tokens: dict[str, tuple[str, str]] = {}
        self.devices: dict[str, dict[str, Json]] = defaultdict(dict)
        self.cross: dict[str, Json] = defaultdict(dict)
        self.one_time: dict[tuple[str, str], Json] = defaultdict(dict)
        self.fallback: dict[tuple[str, str], Json] = {}
        self.inbox: dict[tuple[str, str], list[tuple[int, Json]]] = defaultdict(list)
        self.media: dict[str, bytes] = {}
        self.timeline: list[tuple[int, str, Json]] = []
        self.rooms: dict[str, list[Json]] = {}
        self.pos = 1
        self.vault_key: Json | None = None
        self.vault: dict[tuple[str, str], Json] = {}
        self.invitations: list[Json] = []
        self.removals: list[Json] = []
        self.done: list[tuple[str, str, str]] = []
        self.log: list[str] = []
        self.timeline_limit = 1000
        self.lost: dict[tuple[str, str], int] = {}
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)

        self.roster: Json | None = None
        self.reports: list[tuple[str, str]] = []
        self.given: list[tuple[str, int, int]] = []

    async def start(self) -> None:
        await self._server.start_server()

    async def stop(self) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    def says(self, room_id: str, event: Json) -> None:
        """An event for everybody in the room."""
        self.pos += 1
        sent = {"event_id": f"$e{self.pos}", "origin_server_ts": 1_700_000_000_000 + self.pos, "unsigned": {}, **event}
        self.timeline.append((self.pos, room_id, sent))

    def makes_room(
        self, room_id: str, members: list[str], visibility: str = "shared", case_state: str = "talking"
    ) -> None:
        state = [("m.room.create", "", {"room_version": "11", "creator": members[0]})]
        state += [("m.room.encryption", "", {"algorithm": "m.megolm.v1.aes-sha2"})]
        state += [("m.room.history_visibility", "", {"history_visibility": visibility})]
        state += [("jp.madoguchi.case", "", {"case_id": "c", "state": case_state, "channel": "web"})]
        state += [("m.room.member", member, {"membership": "join"}) for member in members]
        self.rooms[room_id] = [
            {
                "type": t,
                "state_key": k,
                "content": c,
                "sender": members[0],
                "event_id": f"${t}{k}",
                "origin_server_ts": 1,
            }
            for t, k, c in state
        ]

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path
        self.log.append(f"{request.method} {path}")
        raw = await request.read()
        is_json = request.content_type == "application/json" and raw
        body = json.loads(raw) if is_json else {}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        who = self.tokens.get(token)
        if who is None and not path.endswith("/login"):
            return web.json_response({"errcode": "M_UNKNOWN_TOKEN"}, status=401)
        status, answer = self._do(request, path, body, raw, who or ("", ""))
        for (method, part), times in list(self.lost.items()):
            if times and request.method == method and part in path:
                self.lost[method, part] = times - 1
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer, status=status)

    def _do(
        self, request: web.Request, path: str, body: Json, raw: bytes, who: tuple[str, str]
    ) -> tuple[int, Json | bytes]:
        user, device = who
        if path.endswith("/login"):
            token = secrets.token_hex(8)
            self.tokens[token] = (body["identifier"]["user"], body["device_id"])
            return 200, {"access_token": token, "device_id": body["device_id"], "user_id": body["identifier"]["user"]}
        if path.endswith("/keys/upload"):
            if "device_keys" in body:
                self.devices[user][device] = body["device_keys"]
            self.one_time[who] |= body.get("one_time_keys", {})
            for key_id, key in body.get("fallback_keys", {}).items():
                self.fallback[who] = {key_id: key}
            return 200, {"one_time_key_counts": {"signed_curve25519": len(self.one_time[who])}}
        if path.endswith("/keys/device_signing/upload"):
            self.cross[user] |= {name: body[name] for name in ("master_key", "self_signing_key", "user_signing_key")}
            return 200, {}
        if path.endswith("/keys/signatures/upload"):
            for owner, things in body.items():
                for name, thing in things.items():
                    self.devices[owner][name]["signatures"][owner] |= thing["signatures"][owner]
            return 200, {"failures": {}}
        if path.endswith("/keys/query"):
            users = list(body["device_keys"])
            cross = {
                f"{kind}_keys": {u: self.cross[u][f"{kind}_key"] for u in users if self.cross[u]}
                for kind in ("master", "self_signing")
            }
            return 200, {"device_keys": {u: self.devices[u] for u in users}, "failures": {}, **cross}
        if path.endswith("/keys/claim"):
            given: Json = {}
            for owner, wanted in body["one_time_keys"].items():
                for name in wanted:
                    keys = self.one_time[owner, name] or self.fallback.get((owner, name), {})
                    if keys:
                        key_id = next(iter(keys))
                        given.setdefault(owner, {})[name] = {key_id: keys[key_id]}
                        self.one_time[owner, name].pop(key_id, None)
            return 200, {"one_time_keys": given, "failures": {}}
        if "/sendToDevice/" in path:
            kind = path.split("/")[-2]
            for owner, messages in body["messages"].items():
                for name, content in messages.items():
                    for target in self.devices[owner] if name == "*" else [name]:
                        self.pos += 1
                        event = {"type": kind, "sender": user, "content": content}
                        self.inbox[owner, target].append((self.pos, event))
            return 200, {}
        if path.endswith("/media/v3/upload"):
            name = secrets.token_hex(6)
            self.media[name] = raw
            return 200, {"content_uri": f"mxc://x/{name}"}
        if "/media/download/" in path:
            return 200, self.media[path.split("/")[-1]]
        if path.endswith("/sync"):
            return 200, self._sync(request, who)
        if "/state/" in path:
            found = [e["content"] for e in self.rooms[path.split("/")[5]] if e["type"] == path.split("/")[7]]
            return (200, found[0]) if found else (404, {"errcode": "M_NOT_FOUND"})
        if path.endswith(("/invite", "/kick")):
            room_id, verb = path.split("/")[5:7]
            self.done.append((verb, room_id, body["user_id"]))
            self.invitations = [i for i in self.invitations if i["user_id"] != body["user_id"]]
            self.removals = [i for i in self.removals if i["user_id"] != body["user_id"]]
            return 200, {}
        if path.endswith("/desk/v1/roster"):
            return (200, self.roster) if self.roster is not None else (404, {"errcode": "M_NOT_FOUND"})
        if path.endswith("/keeper/history_given"):
            self.given.append((body["user_id"], body["sessions"], body["devices"]))
            return 200, {"logged": True}
        if path.endswith("/lock_reports"):
            self.reports.append((body["kind"], body["about"]))
            return 200, {"kept": True}
        if path.endswith("/keeper/invitations"):
            return 200, {"pos": self.pos, "invitations": self.invitations, "removals": self.removals}
        if path.endswith("/keeper/vault_key"):
            return (
                (200, self.vault_key | {"stored": len(self.vault)})
                if self.vault_key
                else (404, {"errcode": "M_NOT_FOUND"})
            )
        if path.endswith("/keeper/vault_keys"):
            for key in body["keys"]:
                self.vault[key["room_id"], key["session_id"]] = key | {"raw": base64.b64decode(key["sealed"])}
            return 200, {"stored": len(body["keys"])}
        if "/send/" in path:
            self.says(path.split("/")[5], {"type": path.split("/")[7], "sender": user, "content": body})
            return 200, {"event_id": f"$e{self.pos}"}
        if path.endswith("/joined_members"):
            state = self.rooms[path.split("/")[5]]
            return 200, {"joined": {e["state_key"]: {} for e in state if e["type"] == "m.room.member"}}
        if path.endswith("/client/v3/devices"):
            return 200, {"devices": [{"device_id": name} for name in self.devices[user]]}
        if path.endswith("/delete_devices"):
            if "auth" not in body:
                return 401, {"session": "s", "flows": [{"stages": ["m.login.password"]}]}
            for name in body["devices"]:
                del self.devices[user][name]
            return 200, {}
        if path.endswith("/messages"):
            place, end = int(request.query.get("from", self.pos + 1)), int(request.query.get("to", "0"))
            room_id = path.split("/")[5]
            older = [(pos, event) for pos, room, event in self.timeline if room == room_id and end < pos < place]
            chunk = older[::-1][:3]
            more = {"end": str(chunk[-1][0])} if len(chunk) < len(older) else {}
            return 200, {"chunk": [event for _, event in chunk], "start": str(place), **more}
        if path.endswith("/logout"):
            self.tokens = {token: owner for token, owner in self.tokens.items() if owner != who}
            return 200, {}
        return 404, {"errcode": "M_UNRECOGNIZED", "error": path}

    def _sync(self, request: web.Request, who: tuple[str, str]) -> Json:
        since = int(request.query.get("since", "0"))
        full = not since or "full_state" in request.query
        # What the client says it has is forgotten, as the specification wants it.
        self.inbox[who] = [(pos, event) for pos, event in self.inbox[who] if pos > since]
        joined: Json = {}
        for room_id, state in self.rooms.items():
            if not any(e["type"] == "m.room.member" and e["state_key"] == who[0] for e in state):
                continue
            found = [(pos, event) for pos, room, event in self.timeline if room == room_id and pos > since]
            shown = found[-self.timeline_limit :]
            events = [event for _, event in shown]
            if events or full:
                joined[room_id] = {
                    "timeline": {
                        "events": events,
                        "limited": len(shown) < len(found),
                        "prev_batch": str(shown[0][0] if shown else since),
                    },
                    "state": {"events": state if full else []},
                    "account_data": {"events": []},
                    "ephemeral": {"events": []},
                }
        return {
            "next_batch": str(self.pos),
            "rooms": {"join": joined, "invite": {}, "leave": {}},
            "to_device": {"events": [event for _, event in self.inbox[who]]},
            "device_one_time_keys_count": {"signed_curve25519": len(self.one_time[who])},
            "device_unused_fallback_key_types": ["signed_curve25519"] if who in self.fallback else [],
            "device_lists": {"changed": [], "left": []},
            "presence": {"events": []},
            "account_data": {"events": []},
        }
