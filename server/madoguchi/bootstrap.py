"""The first start: keys, the keeper's account, the first administrator's link, and demo staff. Safe to run every time.

Secrets lie in DATA/keys, readable by their owner only, one file a secret; the database has nothing but hashes.
"""

import base64
import secrets
from pathlib import Path

import msgspec
import yaml
from nacl.public import PrivateKey

from madoguchi import commands, errors
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.chat import accounts, appservices, registrations, web_push
from madoguchi.core.desk import staff, staff_room
from madoguchi.crypto import web_push as crypto_push
from madoguchi.files import write_private
from madoguchi.storage import accounts as stored_accounts
from madoguchi.storage import staff as stored_staff
from madoguchi.storage import vault as stored_vault
from madoguchi.storage.db import Tx
from madoguchi.up.runfile import DemoStaff
from madoguchi.vault import ceremony, pin

KEEPER = "keeper"
KEEPER_NAME = "記録係"
BRIDGES = "bridges"
# The apps that our own bridges know; their people are called after them.
BRIDGED = ("line", "telegram")
DEMO = (("ken", "健"), ("sato", "佐藤"))
# Two demo counsellors on one machine try out several conversations at once.
DEMO_CAPACITY = 5


class Founded(msgspec.Struct, frozen=True):
    """admin_token: of the one-time link, None once there is an administrator. demo_staff: empty without --demo."""

    admin_token: str | None
    demo_staff: list[DemoStaff]


async def bootstrap(settings: Settings, demo: bool) -> Founded:
    """Make whatever is missing. The database of `settings.database_url` must have its schema already."""
    make_keys(settings)
    async with commands.context(settings) as ctx, ctx.db.transaction() as tx:
        await _own_account(ctx, tx, settings.keys / "keeper.password", KEEPER, KEEPER_NAME)
        await _own_account(ctx, tx, settings.keys / "deskbot.password", staff_room.LOCALPART, staff_room.BOT_NAME)
        await appservices.make_accounts(ctx, tx)
        token = await _admin_token(ctx, tx, settings.keys / "admin-link")
        people = await _demo_staff(ctx, tx, settings.keys / "demo-staff.json") if demo else []
        if demo:
            await _demo_vault(tx, settings)
    return Founded(token, people)


def make_keys(settings: Settings) -> None:
    """Make the key files that are missing; none is ever replaced."""
    keys = settings.keys
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make(keys / "secret.key", secrets.token_bytes(32))
    _make(keys / "audit.key", secrets.token_bytes(32))
    if not (keys / web_push.KEY_FILE).exists():
        _make(keys / web_push.KEY_FILE, crypto_push.new_key())
    if not (keys / "bridges.key").exists():
        _make(keys / "bridges.key", _base64(bytes(PrivateKey.generate())))
        (keys / "bridges.pub").unlink(missing_ok=True)
    private = PrivateKey(base64.b64decode((keys / "bridges.key").read_bytes()))
    _make(keys / "bridges.pub", _base64(bytes(private.public_key)))
    registration = keys / "registration-bridges.yaml"
    _make(registration, _registration(secrets.token_urlsafe(32), secrets.token_urlsafe(32)).encode())
    known = yaml.safe_load(registration.read_text())
    if {f"@{app}_.*" for app in BRIDGED} - {each["regex"] for each in known["namespaces"]["users"]}:
        # Of an older version, that knew fewer apps.
        write_private(registration, _registration(known["as_token"], known["hs_token"]).encode())


def _registration(as_token: str, hs_token: str) -> str:
    """The application service registration of our own bridges (Application Service API, "Registration")."""
    users = [{"exclusive": True, "regex": f"@{app}_.*"} for app in BRIDGED]
    return yaml.safe_dump(
        {
            "id": registrations.OURS,
            # Null: the bridges read what concerns them by /sync as each ghost, nothing is pushed to them.
            "url": None,
            "as_token": as_token,
            "hs_token": hs_token,
            "sender_localpart": BRIDGES,
            "rate_limited": False,
            "namespaces": {"users": users, "aliases": [], "rooms": []},
        },
        sort_keys=False,
    )


async def _own_account(ctx: Context, tx: Tx, password_file: Path, localpart: str, name: str) -> None:
    """An account of the house itself. Raises UserInUse where somebody else has taken its name."""
    user_id = f"@{localpart}:{ctx.settings.server_name}"
    account = await stored_accounts.get_account(tx, user_id)
    if account is not None and account.kind != "keeper":
        raise errors.UserInUse(f"{user_id} is somebody's account; the desk needs it for itself.")
    known = account is not None
    if known and password_file.exists():
        return
    _make(password_file, secrets.token_urlsafe(32).encode())
    password = password_file.read_text()
    if known:
        await accounts.set_password(ctx, tx, user_id, password)
    else:
        await accounts.create(ctx, tx, localpart, password=password, kind="keeper", display_name=name)


async def _admin_token(ctx: Context, tx: Tx, token_file: Path) -> str | None:
    """The token of the link for the first administrator: the same at every start until it has been used."""
    if await stored_staff.count_administrators(tx):
        token_file.unlink(missing_ok=True)
        return None
    if await staff.needs_admin_link(ctx, tx) or not token_file.exists():
        write_private(token_file, (await staff.make_admin_link(ctx, tx)).encode())
    return token_file.read_text()


async def _demo_staff(ctx: Context, tx: Tx, password_file: Path) -> list[DemoStaff]:
    passwords: dict[str, str] = msgspec.json.decode(password_file.read_bytes()) if password_file.exists() else {}
    people: list[DemoStaff] = []
    for localpart, name in DEMO:
        user_id = f"@{localpart}:{ctx.settings.server_name}"
        known = await stored_staff.get_staff(tx, user_id)
        if known is not None and known.disabled_at is not None:
            continue
        password = passwords.get(user_id)
        if known is None:
            password = password or secrets.token_urlsafe(9)
            await staff.add(ctx, tx, localpart, name, "counsellor", DEMO_CAPACITY, by=None, password=password)
        elif password is None:
            password = secrets.token_urlsafe(9)
            await accounts.set_password(ctx, tx, user_id, password)
        passwords[user_id] = password
        people.append(DemoStaff(user_id=user_id, password=password, name=name))
    write_private(password_file, msgspec.json.encode(passwords))
    return people


async def _demo_vault(tx: Tx, settings: Settings) -> None:
    """So that a newcomer can try `madoguchi vault open`; only here does a vault's key lie on the desk's own disk."""
    if await stored_vault.get_vault(tx) is None:
        made = await ceremony.init(tx)
        pin.write(settings.keys, made.public_key)
        write_private(settings.data / "demo-vault-key.txt", made.sheet().encode())


def _make(path: Path, content: bytes) -> None:
    if not path.exists():
        write_private(path, content)


def _base64(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"
