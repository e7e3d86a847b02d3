"""What the keeper must not forget: written beside its keys, in the same SQLite file, in the same transactions.

It holds ids and counts. The keys themselves lie, encrypted, in the device's store.
"""

import time
from dataclasses import dataclass

from madoguchi.crypto.olm import AgentStore


@dataclass(frozen=True)
class Missing:
    """A session that was used in a room and never reached us, or only from a later message on. asked_at: 0 = its maker
    was not asked yet."""

    room_id: str
    session_id: str
    sender: str
    sender_key: str
    seen_at: float
    asked_at: float


@dataclass(frozen=True)
class Guest:
    """Somebody invited who may lack history yet. sessions, devices: what the last bundle held, whom it reached."""

    room_id: str
    user_id: str
    sessions: int
    devices: frozenset[str]
    joined: bool
    since: float


class Ledger:
    """Small tables: sessions sealed, copied, missing, withheld; guests on their way in; whom a case is for since they
    moved; rooms not looked back into."""

    def __init__(self, store: AgentStore) -> None:
        self._sql = store.database.execute_sql
        for table in (
            "keeper_sealed (room_id TEXT, session_id TEXT, key_id TEXT NOT NULL, first_index INTEGER NOT NULL,"
            " PRIMARY KEY (room_id, session_id))",
            "keeper_missing (room_id TEXT, session_id TEXT, sender TEXT NOT NULL, sender_key TEXT NOT NULL,"
            " seen_at REAL NOT NULL, asked_at REAL NOT NULL DEFAULT 0, first_index INTEGER NOT NULL DEFAULT 0,"
            " PRIMARY KEY (room_id, session_id))",
            "keeper_guests (room_id TEXT, user_id TEXT, sessions INTEGER NOT NULL, devices TEXT NOT NULL,"
            " joined INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, PRIMARY KEY (room_id, user_id))",
            "keeper_copied (room_id TEXT, session_id TEXT, first_index INTEGER NOT NULL,"
            " PRIMARY KEY (room_id, session_id))",
            "keeper_withheld (room_id TEXT, session_id TEXT, sender TEXT, code TEXT NOT NULL,"
            " PRIMARY KEY (room_id, session_id, sender))",
            "keeper_behind (room_id TEXT PRIMARY KEY, before TEXT NOT NULL)",
            "keeper_persons (room_id TEXT, user_id TEXT, PRIMARY KEY (room_id, user_id))",
        ):
            self._sql(f"CREATE TABLE IF NOT EXISTS {table}")
        if "first_index" not in {row[1] for row in self._sql("PRAGMA table_info(keeper_missing)").fetchall()}:
            # Made by an older version, which noted only what was missing as a whole.
            self._sql("ALTER TABLE keeper_missing ADD COLUMN first_index INTEGER NOT NULL DEFAULT 0")

    def sealed(self, key_id: str) -> dict[tuple[str, str], int]:
        """(room id, session id) → first index of every session that the vault with this key has."""
        rows = self._sql("SELECT room_id, session_id, first_index FROM keeper_sealed WHERE key_id = ?", (key_id,))
        return {(room_id, session_id): first for room_id, session_id, first in rows.fetchall()}

    def sealed_to(self) -> set[str]:
        """The short names of all vault keys that anything was sealed to."""
        return {key_id for (key_id,) in self._sql("SELECT DISTINCT key_id FROM keeper_sealed").fetchall()}

    def mark_sealed(self, room_id: str, session_id: str, key_id: str, first_index: int) -> None:
        """The vault has it."""
        self._sql(
            "INSERT OR REPLACE INTO keeper_sealed (room_id, session_id, key_id, first_index) VALUES (?, ?, ?, ?)",
            (room_id, session_id, key_id, first_index),
        )

    def copied(self) -> dict[tuple[str, str], int]:
        """(room id, session id) → first index of every session that is in the keeper's own backup."""
        rows = self._sql("SELECT room_id, session_id, first_index FROM keeper_copied").fetchall()
        return {(room_id, session_id): first for room_id, session_id, first in rows}

    def mark_copied(self, room_id: str, session_id: str, first_index: int) -> None:
        """The backup has it."""
        self._sql("INSERT OR REPLACE INTO keeper_copied VALUES (?, ?, ?)", (room_id, session_id, first_index))

    def forget_copied(self) -> None:
        """There is another backup, and nothing in it."""
        self._sql("DELETE FROM keeper_copied")

    def mark_behind(self, room_id: str, before: str) -> None:
        """What was said in the room before this position of sync has never been looked at."""
        self._sql("INSERT OR IGNORE INTO keeper_behind VALUES (?, ?)", (room_id, before))

    def behind(self) -> list[tuple[str, str]]:
        """(room id, position) of every room that has to be looked back into."""
        return [(room_id, before) for room_id, before in self._sql("SELECT room_id, before FROM keeper_behind")]

    def caught_up(self, room_id: str) -> None:
        """Everything in the room has been looked at."""
        self._sql("DELETE FROM keeper_behind WHERE room_id = ?", (room_id,))

    def mark_withheld(self, room_id: str, session_id: str, sender: str, code: str) -> None:
        """Its maker has said that it will not give it (m.room_key.withheld), and by which code."""
        self._sql("INSERT OR REPLACE INTO keeper_withheld VALUES (?, ?, ?, ?)", (room_id, session_id, sender, code))

    def add_missing(self, room_id: str, session_id: str, sender: str, sender_key: str, index: int) -> None:
        """An event came, the message `index` of a session, which we can't open."""
        self._sql(
            "INSERT INTO keeper_missing (room_id, session_id, sender, sender_key, seen_at, first_index)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (room_id, session_id)"
            " DO UPDATE SET first_index = min(first_index, excluded.first_index)",
            (room_id, session_id, sender, sender_key, time.time(), index),
        )

    def mark_asked(self, missing: Missing) -> None:
        """Its maker has been asked for it."""
        self._sql(
            "UPDATE keeper_missing SET asked_at = ? WHERE room_id = ? AND session_id = ?",
            (time.time(), missing.room_id, missing.session_id),
        )

    def found(self, room_id: str, session_id: str, first_index: int) -> None:
        """The session came after all, from its message `first_index` on. What was said before that stays missing."""
        self._sql(
            "DELETE FROM keeper_missing WHERE room_id = ? AND session_id = ? AND first_index >= ?",
            (room_id, session_id, first_index),
        )
        self._sql(
            "DELETE FROM keeper_withheld WHERE room_id = ?1 AND session_id = ?2 AND NOT EXISTS"
            " (SELECT 1 FROM keeper_missing m WHERE m.room_id = ?1 AND m.session_id = ?2)",
            (room_id, session_id),
        )

    def missing(self, room_id: str | None = None) -> list[Missing]:
        """What is missing, in one room or in all."""
        where, values = ("WHERE room_id = ?", (room_id,)) if room_id else ("", ())
        rows = self._sql(
            f"SELECT room_id, session_id, sender, sender_key, seen_at, asked_at FROM keeper_missing {where}", values
        )
        return [Missing(*row) for row in rows.fetchall()]

    def forget_room(self, room_id: str) -> None:
        """The room is purged; nothing of it is remembered."""
        for table in ("sealed", "copied", "missing", "withheld", "guests", "persons", "behind"):
            self._sql(f"DELETE FROM keeper_{table} WHERE room_id = ?", (room_id,))

    def put_person(self, room_id: str, user_id: str) -> None:
        """The room's case is for this user, who has moved to this account."""
        self._sql("INSERT OR IGNORE INTO keeper_persons (room_id, user_id) VALUES (?, ?)", (room_id, user_id))

    def is_person(self, room_id: str, user_id: str) -> bool:
        """Whether the room's case is for this user."""
        found = self._sql("SELECT 1 FROM keeper_persons WHERE room_id = ? AND user_id = ?", (room_id, user_id))
        return found.fetchone() is not None

    def put_guest(self, room_id: str, user_id: str, sessions: int, devices: frozenset[str]) -> None:
        """A bundle with so many sessions has gone to these devices of somebody invited."""
        self._sql(
            "INSERT INTO keeper_guests (room_id, user_id, sessions, devices, since) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (room_id, user_id) DO UPDATE SET sessions = excluded.sessions, devices = excluded.devices",
            (room_id, user_id, sessions, " ".join(sorted(devices)), time.time()),
        )

    def guest_joined(self, room_id: str, user_id: str) -> None:
        """The guest is in the room; from here on the others share their keys with them."""
        self._sql("UPDATE keeper_guests SET joined = 1 WHERE room_id = ? AND user_id = ?", (room_id, user_id))

    def end_guest(self, room_id: str, user_id: str) -> None:
        """The guest has everything, or has gone."""
        self._sql("DELETE FROM keeper_guests WHERE room_id = ? AND user_id = ?", (room_id, user_id))

    def guests(self) -> list[Guest]:
        """Everybody on the way in."""
        rows = self._sql("SELECT room_id, user_id, sessions, devices, joined, since FROM keeper_guests").fetchall()
        return [
            Guest(room_id, user_id, sessions, frozenset(devices.split()), bool(joined), since)
            for room_id, user_id, sessions, devices, joined, since in rows
        ]
