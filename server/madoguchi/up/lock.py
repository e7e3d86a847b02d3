"""One desk, one supervisor: the lock on a data directory. The kernel drops it when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path

from madoguchi.up import Problem


class DataLock:
    """The lock of `data`; taken from construction until `release`. Raises Problem when somebody else holds it."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(_path(data), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise Problem(
                f"A desk is already running on {data} (process {holder}). Stop it first, or choose another --data."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def is_running(data: Path) -> bool:
    """Whether a supervisor holds `data` now."""
    try:
        descriptor = os.open(_path(data), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _path(data: Path) -> Path:
    return data / "lock"
