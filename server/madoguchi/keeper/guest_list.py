"""Whom the keeper lets in: what the desk says is not enough, the roster has to vouch for them.

The keeper has its own copy of the operator's public key (`DATA/keys/roster.pub`) and remembers the newest roster that
it has seen. Where there is a key, a server can name nobody whom the operator has not signed, give nobody other keys,
and go back to no older roster. Where the operator's key has handed over to another, that one counts from then on.
"""

from pathlib import Path

from madoguchi.crypto import cross_signing, pinned, roster
from madoguchi.crypto.device import AgentDevice, Refused

ADDRESS = "/_madoguchi/desk/v1/roster"


class NotVouchedFor(Exception):
    """Whom the desk names is not on the roster, or by other keys; or there is no roster to believe. kind: as pages
    report it (storage/lock_reports.py)."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class GuestList:
    """key_file: the public key (unpadded base64), read anew each time. seen_file: of the newest roster seen, its
    number, what the key file said then, and the key that had signed it."""

    def __init__(self, device: AgentDevice, key_file: Path, seen_file: Path) -> None:
        self._device = device
        self._key_file = key_file
        self._seen_file = seen_file

    async def vouched(self, user_id: str) -> str | None:
        """The identity that the roster vouches for, and that the account has; None where there is no roster.

        Raises NotVouchedFor; Refused or aiohttp.ClientError where nothing could be asked.
        """
        found = await self._newest()
        if found is None:
            return None
        master = found.master_key_of(user_id)
        if master is None:
            raise NotVouchedFor("stranger")
        if cross_signing.master_of(await self._device.query_devices([user_id]), user_id) != master:
            raise NotVouchedFor("identity")
        return master

    async def _newest(self) -> roster.Roster | None:
        """The roster, None where the operator has signed none yet."""
        said = pinned.read(self._key_file)
        if said is None:
            return None
        seen, key = self._seen(said)
        try:
            document = await self._device.call("GET", ADDRESS)
        except Refused as error:
            if error.status != 404:
                raise
            if seen:
                raise NotVouchedFor("roster_missing") from None
            return None
        desk = self._device.user.partition(":")[2]
        try:
            found = roster.verify(document, key, desk)
        except roster.BadRoster:
            raise NotVouchedFor("roster_unverified") from None
        if found.number < seen:
            raise NotVouchedFor("roster_back")
        if found.number > seen:
            pinned.write(self._seen_file, f"{found.number} {said} {found.key}")
        return found

    def _seen(self, said: str) -> tuple[int, str]:
        """The newest number, and the key that counts."""
        number, before, key = [*(pinned.read(self._seen_file) or "0").split(), "", ""][:3]
        # What the operator has put into the key file since then counts for more than what was remembered.
        return int(number), key if before == said else said
