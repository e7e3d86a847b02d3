"""Back up and restore, by the commands of docs/operations.md."""

import subprocess
import tempfile
from pathlib import Path

from tests.house import MADOGUCHI, House
from tests.house_calls import call, sign_in


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_restored_desk_goes_on_where_the_backup_was_made() -> None:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as name:
        directory = Path(name)
        names = ("desk.dump", "wrapping-keys.json", "keys.tar", "files.tar")
        dump, wrapping, keys, files = (str(directory / name) for name in names)
        old = House(directory / "old")
        old.opens()
        try:
            token = sign_in(old)
            run(MADOGUCHI, "database", "--data", str(old.data), "pg_dump", "--format=custom", f"--file={dump}")
            assert Path(dump).stat().st_mode & 0o077 == 0
            run(MADOGUCHI, "wrapping", "save", "--data", str(old.data), wrapping)
            run("tar", "-C", str(old.data), "-cf", files, "media", "keeper", "bridges", "server-name")
            run("tar", "-C", str(old.data), "-cf", keys, "keys")
        finally:
            old.closes()

        new = House(directory / "new")
        new.data.mkdir(mode=0o700)
        run("tar", "-C", str(new.data), "-xf", keys)
        run("tar", "-C", str(new.data), "-xf", files)
        restore = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname=madoguchi", dump)
        run(MADOGUCHI, "database", "--data", str(new.data), *restore)
        run(MADOGUCHI, "wrapping", "load", "--data", str(new.data), wrapping)
        new.opens()
        try:
            assert new.staff == old.staff
            call(new, "GET", "/_matrix/client/v3/account/whoami", token=token)
            run(MADOGUCHI, "doctor", "--data", str(new.data))
        finally:
            new.closes()
