"""The Matrix rooms of a case: who holds which power in it, what its state says, and when it may only be read.

The server speaks in it as the keeper, the room's creator and the only one who may change its rules.
"""

from madoguchi.context import Context
from madoguchi.core.chat import events, rooms
from madoguchi.core.chat.rooms import CreateRoom, StateEvent
from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage.cases import State
from madoguchi.storage.db import Tx

CASE_STATE = "jp.madoguchi.case"
SIDE_STATE = "jp.madoguchi.side_room"
NAME = "相談"
SIDE_NAME = "職員だけの部屋"
SIDE_TOPIC = "相談者には見えません / The young person can't see this"
# From version 12 on a creator's power has no number; here the keeper's is stated like everybody else's.
ROOM_VERSION = "11"
_KEEPER, _COUNSELLOR, _YOUNG_PERSON = 100, 50, 0
_KEEPERS_ALONE = (
    CASE_STATE,
    "m.room.power_levels",
    "m.room.encryption",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.guest_access",
    "m.room.server_acl",
    "m.room.tombstone",
    "m.room.canonical_alias",
)


# Of the keeper's account data: its identity, sealed to the operator's recovery key (keeper/recovery.py).
KEEPER_RECOVERY = "jp.madoguchi.keeper.recovery"


def keeper_id(ctx: Context) -> UserID:
    """The keeper 記録係: a visible member of every case room."""
    return f"@keeper:{ctx.settings.server_name}"


def desk_alias(ctx: Context) -> str:
    """Joining this alias from any Matrix client opens a case."""
    return f"#desk:{ctx.settings.server_name}"


def desk_door(ctx: Context) -> RoomID:
    """The room id that the alias is said to have: clients ask for one before they join. No room has it."""
    return f"!desk:{ctx.settings.server_name}"


def is_the_desk(ctx: Context, room_id_or_alias: str) -> bool:
    """Whether somebody who joins this wants to come to the desk."""
    return room_id_or_alias in (desk_alias(ctx), desk_door(ctx))


def power_levels(keeper: UserID, counsellors: list[UserID], *, closed: bool = False) -> dict[str, object]:
    """The content of m.room.power_levels. In a closed case everybody reads and nobody writes."""
    return {
        "users": {keeper: _KEEPER, **dict.fromkeys(sorted(counsellors), _COUNSELLOR)},
        "users_default": _YOUNG_PERSON,
        "events": dict.fromkeys(_KEEPERS_ALONE, _KEEPER),
        "events_default": _KEEPER if closed else _YOUNG_PERSON,
        "state_default": _KEEPER if closed else _COUNSELLOR,
        # Only the keeper invites: the history goes with its invitations, and nobody from outside comes in.
        "invite": _KEEPER,
        "kick": _KEEPER,
        "ban": _KEEPER,
        # Everybody takes back only what they said themselves: nobody else makes a young person's words disappear.
        "redact": _KEEPER,
        "notifications": {"room": _COUNSELLOR},
    }


async def open_room(ctx: Context, tx: Tx, case_id: CaseID, user_id: UserID, channel: str) -> RoomID:
    """Makes the encrypted room of a new case with the keeper and the young person in it."""
    keeper = keeper_id(ctx)
    wanted = CreateRoom(
        name=NAME,
        preset="private_chat",
        room_version=ROOM_VERSION,
        power_level_content_override=power_levels(keeper, []),
        initial_state=[
            StateEvent(type="m.room.guest_access", content={"guest_access": "forbidden"}),
            StateEvent(type=CASE_STATE, content=_case_content(case_id, "waiting", channel)),
        ],
    )
    return await rooms.create_room(ctx, tx, keeper, wanted, joined=[user_id], kind="case", encrypted=True)


async def open_side_room(ctx: Context, tx: Tx, case_id: CaseID) -> RoomID:
    """Makes the encrypted room in which a case's staff are among themselves, with the keeper alone in it."""
    keeper = keeper_id(ctx)
    powers = power_levels(keeper, [])
    wanted = CreateRoom(
        # With what the console calls the case by: many of these stand in the list of another client.
        name=f"{SIDE_NAME} {case_id[-4:].upper()}",
        topic=SIDE_TOPIC,
        preset="private_chat",
        room_version=ROOM_VERSION,
        # All are equal here, and nobody but the keeper brings anybody in.
        power_level_content_override=powers | {"state_default": _KEEPER},
        initial_state=[
            StateEvent(type="m.room.guest_access", content={"guest_access": "forbidden"}),
            StateEvent(type=SIDE_STATE, content={"case_id": case_id}),
        ],
    )
    return await rooms.create_room(ctx, tx, keeper, wanted, kind="side", encrypted=True)


async def say_state(ctx: Context, tx: Tx, room_id: RoomID, case_id: CaseID, state: State, channel: str) -> None:
    """Keeps the room's own note of its case current, for clients that know nothing of the desk's API."""
    content = _case_content(case_id, state, channel)
    await events.send_state(ctx, tx, room_id, keeper_id(ctx), CASE_STATE, "", content)


async def say_powers(ctx: Context, tx: Tx, room_id: RoomID, counsellors: list[UserID], *, closed: bool = False) -> None:
    """Gives those who look after the case their power, and takes it from everybody else."""
    keeper = keeper_id(ctx)
    content = power_levels(keeper, counsellors, closed=closed)
    await events.send_state(ctx, tx, room_id, keeper, "m.room.power_levels", "", content)


def _case_content(case_id: CaseID, state: State, channel: str) -> dict[str, object]:
    return {"case_id": case_id, "state": state, "channel": channel}
