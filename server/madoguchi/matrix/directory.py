"""Chapters "Room aliases" and "Published room directory". A desk's rooms are never in it."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import appservices, auth_rules, events, registrations, rooms, spaces
from madoguchi.core.chat.room_cache import Room
from madoguchi.core.chat.shapes import check_names
from madoguchi.core.desk import case_room, moves_matrix
from madoguchi.storage import appservices as stored_appservices
from madoguchi.storage import rooms as stored_rooms
from madoguchi.web.endpoint import Call


class AliasBody(msgspec.Struct):
    room_id: str


async def set_room_alias(call: Call, room_alias: str, body: AliasBody) -> dict[str, Any]:
    rooms.check_alias(call.ctx, room_alias, call.session.appservice)
    stands = await events.standing(call.tx, body.room_id, [call.session.user_id])
    if stands.membership(call.session.user_id) != "join":
        raise errors.NotAllowed("You are not in this room.")
    if stands.room.kind != "plain":
        raise errors.NotAllowed("A desk's room has no public name.")
    if not await stored_rooms.insert_alias(call.tx, room_alias, body.room_id, call.session.user_id):
        raise errors.Conflict("This alias is taken.", errcode="M_UNKNOWN")
    return {}


async def get_room_id_by_alias(call: Call, room_alias: str) -> dict[str, Any]:
    if not room_alias.startswith("#") or ":" not in room_alias:
        raise errors.Invalid("That is not a room alias.")
    if case_room.is_the_desk(call.ctx, room_alias):
        return {"room_id": case_room.desk_door(call.ctx), "servers": [call.ctx.settings.server_name]}
    if (code := moves_matrix.code_of(call.ctx, room_alias)) is not None:
        return {"room_id": moves_matrix.door(call.ctx, code), "servers": [call.ctx.settings.server_name]}
    found = await stored_rooms.get_alias(call.tx, room_alias)
    if found is None:
        raise errors.NotFound("There is no room with this alias.")
    return {"room_id": found[0], "servers": [call.ctx.settings.server_name]}


async def delete_room_alias(call: Call, room_alias: str) -> dict[str, Any]:
    found = await stored_rooms.get_alias(call.tx, room_alias)
    if found is None:
        raise errors.NotFound("There is no room with this alias.")
    room_id, creator = found
    if creator != call.session.user_id:
        await _check_may_publish(call, room_id)
    await stored_rooms.delete_alias(call.tx, room_alias)
    return {}


async def get_local_aliases(call: Call, room_id: str) -> dict[str, Any]:
    present = await stored_rooms.get_membership(call.tx, room_id, call.session.user_id)
    if present is None or present.membership != "join":
        raise errors.NotAllowed("You are not in this room.")
    return {"aliases": await stored_rooms.list_aliases(call.tx, room_id)}


async def _check_may_publish(call: Call, room_id: str) -> None:
    stands = await events.standing(call.tx, room_id, [call.session.user_id])
    level = auth_rules.level_of(stands.version, stands.content, stands.room.creator, call.session.user_id)
    if stands.membership(call.session.user_id) != "join" or level < auth_rules.level_for(
        stands.content, "m.room.canonical_alias", True
    ):
        raise errors.NotAllowed("Your power level does not reach for this.")


async def get_room_visibility_on_directory(call: Call, room_id: str) -> dict[str, Any]:
    room = await stored_rooms.get_room(call.tx, room_id)
    # Anybody may ask: nobody learns that there is a room of the desk.
    if room is None or room.kind != "plain":
        raise errors.NotFound("There is no such room.")
    return {"visibility": "public" if room.public else "private"}


class Visibility(msgspec.Struct):
    visibility: str = "public"


async def set_room_visibility_on_directory(call: Call, room_id: str, body: Visibility) -> dict[str, Any]:
    if body.visibility not in ("public", "private"):
        raise errors.Invalid("visibility is public or private.")
    room = await stored_rooms.get_room(call.tx, room_id)
    if room is None:
        raise errors.NotFound("There is no such room.")
    if room.kind != "plain" and await stored_rooms.get_membership(call.tx, room_id, call.session.user_id) is None:
        raise errors.NotFound("There is no such room.")
    await _check_may_publish(call, room_id)
    if body.visibility == "public":
        rooms.check_directory(call.ctx)
        if room.kind != "plain":
            raise errors.NotAllowed("A desk's room is never published.")
    await stored_rooms.update_public(call.tx, room_id, body.visibility == "public")
    return {}


async def update_appservice_room_directory_visibility(
    call: Call, network_id: str, room_id: str, body: Visibility
) -> dict[str, Any]:
    """A room's place in the list of a bridged network, which is not the desk's own directory."""
    if body.visibility not in ("public", "private"):
        raise errors.Invalid("visibility is public or private.")
    check_names(network_id)
    service = appservices.by_id(call.ctx, call.session.appservice or "")
    room = await stored_rooms.get_room(call.tx, room_id)
    present = await stored_appservices.list_present(call.tx, service.id, [room_id], registrations.KINDS)
    in_it = any(person.own and person.membership == "join" for person in present)
    if room is None or not (in_it or service.follows(room_id, await stored_rooms.list_aliases(call.tx, room_id))):
        raise errors.NotFound("There is no such room.")
    if room.kind != "plain":
        raise errors.NotAllowed("A desk's room is never published.")
    public = body.visibility == "public"
    await stored_appservices.set_published(call.tx, service.id, network_id, room_id, public)
    return {}


class PublicFilter(msgspec.Struct):
    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class PublicQuery(msgspec.Struct):
    limit: int | None = None
    since: str | None = None
    server: str | None = None


class PublicSearch(msgspec.Struct):
    limit: int | None = None
    since: str | None = None
    filter: PublicFilter = msgspec.field(default_factory=PublicFilter)
    include_all_networks: bool = False
    third_party_instance_id: str | None = None


async def get_public_rooms(call: Call, query: PublicQuery) -> dict[str, Any]:
    return await _public(call, PublicSearch(limit=query.limit, since=query.since))


async def query_public_rooms(call: Call, body: PublicSearch) -> dict[str, Any]:
    return await _public(call, body)


async def _public(call: Call, search: PublicSearch) -> dict[str, Any]:
    limit, since, wanted = search.limit, search.since, search.filter
    instance = search.third_party_instance_id
    listed = [] if instance else await stored_rooms.list_public(call.tx)
    if instance or search.include_all_networks:
        listed = list(dict.fromkeys([*listed, *await stored_appservices.list_published(call.tx, instance)]))
    if call.ctx.settings.room_directory == "closed":
        listed = []
    start = int(since) if since is not None and since.isascii() and since.isdigit() and len(since) < 10 else 0
    found = await call.ctx.rooms.get_many(listed)
    term = (wanted.generic_search_term or "").casefold()
    chunk = [summary(room) for room in found.values()]
    searched = ("name", "topic", "canonical_alias")
    chunk = [room for room in chunk if term in " ".join(str(room.get(key, "")) for key in searched).casefold()]
    if wanted.room_types is not None:
        chunk = [room for room in chunk if room.get("room_type") in wanted.room_types]
    chunk.sort(key=lambda room: -room["num_joined_members"])
    size = max(1, min(limit or 100, 500))
    answer: dict[str, Any] = {"chunk": chunk[start : start + size], "total_room_count_estimate": len(chunk)}
    if start + size < len(chunk):
        answer["next_batch"] = str(start + size)
    if start:
        answer["prev_batch"] = str(max(0, start - size))
    return answer


def summary(room: Room) -> dict[str, Any]:
    """A room as the directory shows it (PublishedRoomsChunk)."""

    def text(type_: str, key: str) -> Any:
        return (room.content(type_) or {}).get(key)

    answer = {
        "room_id": room.room_id,
        "name": text("m.room.name", "name"),
        "topic": text("m.room.topic", "topic"),
        "avatar_url": text("m.room.avatar", "url"),
        "canonical_alias": text("m.room.canonical_alias", "alias"),
        "num_joined_members": len(room.joined()),
        "world_readable": text("m.room.history_visibility", "history_visibility") == "world_readable",
        "guest_can_join": text("m.room.guest_access", "guest_access") == "can_join",
        "join_rule": text("m.room.join_rules", "join_rule") or "invite",
        "room_type": text("m.room.create", "type"),
    }
    return {key: value for key, value in answer.items() if value is not None}


async def get_room_summary(call: Call, room_id_or_alias: str) -> dict[str, Any]:
    """What a room is called, for whoever may look into it: members, the invited, and everybody where it is public."""
    room_id = room_id_or_alias
    if room_id.startswith("#"):
        found = await stored_rooms.get_alias(call.tx, room_id)
        room_id = found[0] if found is not None else ""
    await call.ctx.hub.reach(call.ctx.db.committed)
    room = await call.ctx.rooms.get(room_id)
    user_id = call.caller.user_id if call.caller is not None else None
    if room is None or not await spaces.may_look_into(call.tx, room, user_id):
        raise errors.NotFound("There is no such room that you can see.")
    membership = room.members.get(user_id, "leave") if user_id is not None else "leave"
    answer = {**summary(room), "room_version": room.version}
    if room.encrypted:
        answer["encryption"] = (room.content("m.room.encryption") or {}).get("algorithm")
    if call.caller is not None:
        answer["membership"] = membership
    return answer
