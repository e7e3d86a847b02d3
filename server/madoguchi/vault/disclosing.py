"""What was asked and approved at the desk, as the holders open it: which case, why, for whom."""

from dataclasses import replace
from datetime import datetime

from madoguchi.storage import cases, disclosures
from madoguchi.storage.db import Tx
from madoguchi.storage.disclosures import Disclosure
from madoguchi.vault.ceremony import VaultProblem, Witness


async def granted(tx: Tx, disclosure_id: str, at: datetime) -> Disclosure:
    """The request, if two people stand for it and its time is not over; held. Raises VaultProblem."""
    found = await disclosures.lock(tx, disclosure_id)
    if found is None:
        raise VaultProblem(f"There is no disclosure {disclosure_id}.")
    if found.kind == "life_at_risk":
        raise VaultProblem("That shows who somebody is, never what they said: the vault stays closed.")
    found = found.at(at)
    # One that was opened may be opened again: the files may not have arrived. In its time, like the first.
    if found.state == "opened" and at >= found.ends_at:
        raise VaultProblem("This disclosure is over.")
    if found.state not in ("approved", "opened"):
        raise VaultProblem(f"This disclosure is {found.state}, not approved.")
    case = await cases.get_case(tx, found.case_id)
    if case is None or case.state == "purged":
        raise VaultProblem("This case is purged: nothing of it is kept.")
    return found


def witnessed(found: Disclosure, present: Witness) -> Witness:
    """Why it is opened: in the request's own words, and whose word it was."""
    why = [f"disclosure {found.id} ({found.kind})", found.reference, found.reason]
    why.append(f"asked by {found.asked_by}, approved by {found.decided_by}")
    return replace(present, reason=", ".join(part for part in why if part))
