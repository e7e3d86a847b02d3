"""What each process may do in the database: the one table of it. `roles.py` brings a database to it.

Letters: r reads, a adds, c changes, d deletes rows; in brackets the only columns that is true of, or, after a minus,
those that it is not true of. What stands nowhere may not be done: each table of the schema has its row here, and a test
looks for it (tests/storage/test_roles.py).

`keeper` has no column: it speaks HTTP only and does not enter the database. Locking a row takes a right to change it.
"""

import re
from collections.abc import Collection, Iterator
from typing import Literal

Process = Literal["serve", "work", "bridges", "backup"]
# Whom the table is about, in its order. A backup reads everything and does nothing else; the rows of wrapping_keys are
# kept from it by a policy of that table, since pg_dump needs the right to lock whatever it leaves out.
PROCESSES: tuple[Process, ...] = ("serve", "work", "bridges")
VERBS = {"r": "SELECT", "a": "INSERT", "c": "UPDATE", "d": "DELETE"}

Grant = tuple[str, str | None]  # the privilege; the column, or None for the whole table

# fmt: off
GRANTS: dict[str, tuple[str, str, str]] = {
    # table                   serve     work      bridges
    "alembic_version":       ("r",      "r",      ""),

    # -- what only grows ---------------------------------------------------------------------------------------
    "audit_log":             ("ra",     "ra",     ""),
    "audit_anchors":         ("r",      "ra",     ""),
    "audit_heads":           ("r",      "ra",     ""),
    "viewing_ledgers":       ("r",      "ra",     ""),
    "viewing_ledger_seen":   ("ra",     "r",      ""),
    "deletion_certificates": ("r",      "ra",     ""),
    "vault_openings":        ("",       "",       ""),
    "rosters":               ("r",      "r",      ""),

    # -- the vault. To hold its row, serve may change a column that can have but one value ---------------------
    "vault":                 ("rc(only_one)", "r", ""),
    "vault_keys":            ("r(-sealed)ac(sealed,first_index,stored_at,wrapping)", "r(-sealed)d", ""),
    "wrapping_keys":         ("ra",     "r(-key)d", ""),

    # -- accounts and their devices ----------------------------------------------------------------------------
    "accounts":              ("rac",    "r(-password_hash)c(deactivated_at,password_hash)", ""),
    "sessions":              ("racd",   "r(-token_hash,refresh_hash)d", ""),
    "login_tokens":          ("racd",   "r(-token_hash)d", ""),
    "interactive_auth":      ("racd",   "rd", ""),
    "return_keys":           ("racd",   "r(-secret_hash)d", ""),
    "admin_links":           ("rc",     "r(-token_hash)d", ""),
    "devices":               ("racd",   "rcd",    ""),
    "profiles":              ("racd",   "rd",     ""),
    "account_data":          ("racd",   "rd",     ""),
    "filters":               ("ra",     "rd",     ""),
    "device_keys":           ("racd",   "rd",     ""),
    "one_time_keys":         ("racd",   "r(-key)d", ""),
    "fallback_keys":         ("racd",   "r(-key)d", ""),
    "dehydrated_devices":    ("racd",   "r(-device_data)d", ""),
    "cross_signing_keys":    ("racd",   "rd",     ""),
    "key_signatures":        ("racd",   "rd",     ""),
    "device_changes":        ("rac",    "rac",    ""),
    "signature_changes":     ("rac",    "rd",     ""),
    "key_backups":           ("racd",   "r(-auth_data)c(etag,keys)d", ""),
    "key_backup_sessions":   ("racd",   "r(-session_data)d", ""),
    "push_rules":            ("racd",   "rd",     ""),
    "pushers":               ("racd",   "rcd",    ""),
    "to_device":             ("racd",   "rd",     ""),
    "to_device_transactions": ("racd",  "rd",     ""),
    "sliding_states":        ("racd",   "rd",     ""),

    # -- rooms -------------------------------------------------------------------------------------------------
    "stream":                ("rc",     "rc",     ""),
    "rooms":                 ("rac",    "rcd",    ""),
    "events":                ("rac",    "racd",   ""),
    "current_state":         ("racd",   "racd",   ""),
    "memberships":           ("rac",    "racd",   ""),
    "aliases":               ("racd",   "rd",     ""),
    "receipts":              ("rac",    "rd",     ""),
    "transactions":          ("rad",    "rd",     ""),
    "reports":               ("rac(seen_by,seen_at)", "rd", ""),
    "media":                 ("racd",   "rd",     ""),
    "media_rooms":           ("rad",    "rd",     ""),
    "media_removals":        ("ra",     "racd",   ""),
    "thumbnails":            ("rac",    "rd",     ""),
    "pushes":                ("racd",   "racd",   ""),
    "push_position":         ("rc",     "rc",     ""),
    "appservice_queues":     ("rac",    "rac",    ""),
    "appservice_directory":  ("rad",    "r",      ""),

    # -- cases -------------------------------------------------------------------------------------------------
    "cases":                 ("rac",    "rc",     "r(id,risk)"),
    "case_staff":            ("rac",    "rcd",    ""),
    "case_steps":            ("ra",     "rad",    ""),
    "case_holds":            ("ra",     "r",      ""),
    "case_answers":          ("rac",    "rd",     ""),
    "blocks":                ("rac",    "rd",     ""),
    "disclosures":           ("rac",    "rc(asked_by)d", ""),
    "deletion_wishes":       ("rac",    "rc",     ""),
    "case_destructions":     ("r",      "rac",    ""),
    "disclosure_sightings":  ("racd",   "racd",   ""),
    "side_seats":            ("racd",   "racd",   ""),
    "records":               ("rac",    "rcd",    ""),
    "survey":                ("rac",    "r",      ""),
    "lock_reports":          ("ra",     "rd",     ""),
    "arrivals":              ("rac",    "rd",     ""),
    "proof_key":             ("r",      "",       ""),
    "proofs_used":           ("ra",     "rd",     ""),
    "moves":                 ("racd",   "racd",   ""),
    "move_links":            ("rac",    "r(-token_hash,code_hash)d", ""),
    "app_tickets":           ("rac",    "r(-token_hash,code_hash)d", ""),
    "app_tries":             ("ra",     "rd",     ""),
    "past_persons":          ("rac",    "rd",     ""),
    "kept_cases":            ("racd",   "rd",     "r(case_id,signed_at,until)"),

    # -- the desk ----------------------------------------------------------------------------------------------
    "desk_settings":         ("rac",    "r",      ""),
    "staff":                 ("rac",    "rc",     ""),
    "staff_networks":        ("rac",    "rd",     ""),
    "staff_links":           ("racd",   "r(-token_hash)d", ""),
    "staff_room":            ("ra",     "r",      ""),
    "staff_room_cards":      ("racd",   "rd",     ""),
    "staff_room_commands":   ("rac",    "rd",     ""),
    "guidance":              ("racd",   "r",      ""),
    "replies":               ("racd",   "",       ""),
    "texts":                 ("racd",   "",       ""),
    "risk_words":            ("racd",   "",       ""),
    "channels":              ("rac",    "rc",     "r"),
    "channel_changes":       ("ra",     "ra",     ""),
    "channel_checks":        ("rac",    "r",      "rc(checked_at,findings)"),
    "closings":              ("racd",   "racd",   ""),
    "planned_switches":      ("racd",   "rcd",    ""),
    "drills":                ("r",      "",       ""),
    "checks":                ("rac",    "rac",    ""),
    "heartbeats":            ("rac",    "r",      ""),
    "egress_counts":         ("rac",    "racd",   ""),
    "jobs":                  ("rac",    "racd",   ""),

    # -- what comes from apps and goes to them -----------------------------------------------------------------
    "bridge_intake":         ("r(-sealed)", "r(-sealed)c(-seq,channel_id,event_key,received_at)", "racd"),
    "bridge_accounts":       ("r",      "r",      "rac"),
    "bridge_people":         ("r(user_id,channel_id)", "", "rac"),
    "bridge_outbox":         ("",       "r(room_id)d", "racd"),
    "bridge_links":          ("",       "r(room_id)d", "racd"),
    "bridge_references":     ("",       "r(room_id)d", "racd"),
    "bridge_quota":          ("r",      "r",      "rac"),
    "bridge_doors":          ("r",      "r",      "rac"),
    "bridge_forgotten":      ("r",      "r",      "rac"),
}
# fmt: on
# Counters that are no column's own.
SEQUENCES: dict[str, tuple[Process, ...]] = {"staff_room_numbers": ("serve", "work")}


def wanted(process: Process, table: str, columns: Collection[str]) -> set[Grant]:
    """What a process is to have of a table with these columns; nothing of one that is not ours."""
    if process == "backup":
        return {("SELECT", None)}
    cells = GRANTS.get(table)
    return set() if cells is None else set(_read(cells[PROCESSES.index(process)], columns))


def _read(cell: str, columns: Collection[str]) -> Iterator[Grant]:
    """Raises ValueError for a cell that is misspelt or names a column that is not there."""
    if not re.fullmatch(r"([racd](\(-?[a-z_,]+\))?)*", cell):
        raise ValueError(cell)
    for verb, minus, listed in re.findall(r"([racd])(?:\((-?)([a-z_,]+)\))?", cell):
        named = set(listed.split(",")) if listed else set()
        if not named <= set(columns):
            raise ValueError(f"{cell}: there is no {', '.join(named - set(columns))}")
        for column in (set(columns) - named if minus else named) or (None,):
            yield VERBS[verb], column
