"""DATA/run.json: where a running desk can be reached. Only its owner may read it: it holds the one-time link."""

from pathlib import Path

import msgspec

from madoguchi.files import write_private


class DemoStaff(msgspec.Struct):
    """A counsellor made by --demo."""

    user_id: str
    password: str
    name: str


class RunFile(msgspec.Struct, omit_defaults=False):
    """`admin_link` is None once an administrator exists; `demo_staff` is empty without --demo."""

    pid: int
    base_url: str
    local_url: str
    server_name: str
    database_url: str
    bridges_url: str
    youth_url: str
    staff_url: str
    admin_url: str
    admin_link: str | None = None
    demo_staff: list[DemoStaff] = []


def read(path: Path) -> RunFile | None:
    """What the file says, None where there is none or it is not ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except (OSError, msgspec.DecodeError):
        return None


def write(path: Path, run: RunFile) -> None:
    """Replace the file in one step, so that who waits for it never reads half of it."""
    write_private(path, msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
