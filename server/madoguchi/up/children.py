"""Starting child processes that never outlive us: the kernel signals them when their parent dies, however it dies."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(
    death_signal: signal.Signals = signal.SIGTERM, uid: int | None = None, gid: int | None = None
) -> Callable[[], None]:
    """What a child runs between fork and exec: become (uid, gid) where given, and ask for `death_signal`.

    Must be used from the main thread: the kernel watches the thread that forked, not the process. Elsewhere than on
    Linux only the change of user happens.
    """
    parent = os.getpid()

    def prepare() -> None:
        if uid is not None and gid is not None:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        if _libc is not None:
            # After the change of user, which clears the request.
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            # The parent may have died before the request was made.
            if os.getppid() != parent:
                os._exit(1)

    return prepare
