"""A client of sliding sync: keeps a picture of its rooms the way Element X does, from what each answer adds."""

import copy
from typing import Any

from tests.cast import Json, Person

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
STABLE = "/_matrix/client/v4/sync"
ALL_EXTENSIONS = {name: {"enabled": True} for name in ("to_device", "e2ee", "account_data", "receipts", "typing")}


def everything(first: int = 0, last: int = 99, limit: int = 20) -> Json:
    """A list of all rooms with all their state."""
    return {"ranges": [[first, last]], "timeline_limit": limit, "required_state": [["*", "*"]]}


class Room:
    """A room as the client has it."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.heroes: list[str] = []
        self.is_dm = False
        self.state: dict[tuple[str, str], Json] = {}
        self.timeline: list[Json] = []
        self.counts = (0, 0)
        self.invite: list[Json] | None = None
        self.receipts: dict[tuple[str, str], str] = {}
        self.typing: list[str] = []
        self.data: dict[str, Json] = {}

    def add(self, told: Json) -> None:
        self.invite = told.get("invite_state", told.get("stripped_state"))
        for event in told.get("required_state", ()):
            self.state[event["type"], event["state_key"]] = event
        events = told.get("timeline", [])
        if told.get("limited") or told.get("unstable_expanded_timeline") or told.get("expanded_timeline"):
            self.timeline = []
        self.timeline += events
        if "name" in told:
            self.name = told["name"]
        if "heroes" in told:
            self.heroes = [hero["user_id"] for hero in told["heroes"]]
        self.is_dm = told.get("is_dm", self.is_dm)
        if "notification_count" in told:
            self.counts = (told["notification_count"], told["highlight_count"])


class Window:
    """One connection of a person's device. `lists`, `subscriptions` and `extensions` go with every request."""

    def __init__(self, person: Person, conn_id: str = "room-list", *, stable: bool = False) -> None:
        self.person = person
        self.conn_id = conn_id
        self.stable = stable
        self.pos: str | None = None
        self.lists: dict[str, Json] = {"all": everything()}
        self.subscriptions: dict[str, Json] = {}
        self.extensions: Json = copy.deepcopy(ALL_EXTENSIONS)
        self.rooms: dict[str, Room] = {}
        self.counts: dict[str, int] = {}
        self.told: Json = {}
        self.to_device: list[Json] = []
        self.data: dict[str, Json] = {}

    async def asks(self, timeout_ms: int = 0, person: Person | None = None) -> Json:
        """One request, whose answer is not taken in: as if it got lost on the way."""
        body: Json = {"conn_id": self.conn_id, "lists": self.lists, "extensions": self.extensions}
        if self.subscriptions:
            body["room_subscriptions"] = self.subscriptions
        query: Json = {"timeout": timeout_ms}
        if self.pos is not None:
            query["pos"] = self.pos
        if self.stable:
            answer: Json = await (person or self.person).post(STABLE, body | query)
        else:
            answer = await (person or self.person).post(UNSTABLE, body, **query)
        return answer

    async def looks(self, timeout_ms: int = 0, person: Person | None = None) -> Json:
        """One request; its answer is added to the picture."""
        answer = await self.asks(timeout_ms, person)
        self.takes(answer)
        return answer

    def takes(self, answer: Json) -> None:
        self.pos = answer["pos"]
        self.told = answer
        for name, each in answer["lists"].items():
            self.counts[name] = each["count"]
        for room_id, told in answer["rooms"].items():
            if told.get("initial"):
                kept = self.rooms.get(room_id)
                self.rooms[room_id] = Room()
                if kept is not None:
                    # Beside the room itself nothing begins anew.
                    self.rooms[room_id].data, self.rooms[room_id].receipts = kept.data, kept.receipts
            self.rooms[room_id].add(told)
        parts = answer["extensions"]
        if "to_device" in parts:
            self.to_device += parts["to_device"]["events"]
            self.extensions["to_device"]["since"] = parts["to_device"]["next_batch"]
        for event in parts.get("account_data", {}).get("global", ()):
            self.data[event["type"]] = event["content"]
        for room_id, events in parts.get("account_data", {}).get("rooms", {}).items():
            self.rooms[room_id].data |= {event["type"]: event["content"] for event in events}
        for room_id, event in parts.get("receipts", {}).get("rooms", {}).items():
            for event_id, kinds in event["content"].items():
                for kind, users in kinds.items():
                    self.rooms[room_id].receipts |= {(kind, user): event_id for user in users}
        for room_id, event in parts.get("typing", {}).get("rooms", {}).items():
            self.rooms[room_id].typing = event["content"]["user_ids"]

    def bodies(self, room_id: str) -> list[Any]:
        """What was said in the room, as far as the client has it."""
        return [
            event["content"].get("body") for event in self.rooms[room_id].timeline if event["type"].endswith("message")
        ]

    def of(self, room_id: str) -> Json:
        """What the last answer told of a room."""
        told: Json = self.told["rooms"][room_id]
        return told
