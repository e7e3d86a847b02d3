"""As whom PostgreSQL runs. It refuses root, so root runs it in a user namespace of its own or as another user."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from madoguchi.up import Problem
from madoguchi.up.children import die_with_parent

_NAMESPACE = ("-U", "--map-user=65534", "--map-group=65534")


class IdentityError(Problem):
    """Root cannot start PostgreSQL here; the text says what to do."""


@dataclass(frozen=True)
class Identity:
    """`prefix`: words before the command; `uid`, `gid`: whom the child becomes (None = stays who we are)."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give one file or folder to this identity."""
        if os.geteuid() == 0:
            os.chown(path, self.uid or 0, self.gid or 0)

    def own_tree(self, top: Path) -> None:
        """Give a whole cluster to this identity where it is another's (it ran differently the last time)."""
        if os.geteuid() != 0 or top.stat().st_uid == (self.uid or 0):
            return
        for folder, _, files in os.walk(top):
            self.own(Path(folder))
            for name in files:
                os.lchown(os.path.join(folder, name), self.uid or 0, self.gid or 0)
        self.own(top)


def choose_identity(bindir: Path, directory: Path) -> Identity:
    """How to run the binaries of `bindir` on the cluster under `directory`. Raises IdentityError.

    Not root: as we are. Root: in a user namespace (works under private folders, files stay root's; some containers
    forbid it); otherwise as the user postgres or nobody (needs folders that they may pass).
    """
    if os.geteuid() != 0:
        return Identity()
    if (unshare := shutil.which("unshare")) and _works([unshare, *_NAMESPACE, "true"]):
        return Identity(prefix=(unshare, *_NAMESPACE))
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        identity = Identity(uid=user.pw_uid, gid=user.pw_gid)
        _let_pass(directory)
        reachable = _works(["test", "-x", str(directory)], identity)
        if reachable and _works([str(bindir / "postgres"), "--version"], identity):
            return identity
    raise IdentityError(
        "PostgreSQL refuses to run as root, user namespaces are forbidden here, and no other user can reach "
        f"{bindir} and {directory}. Do one of: run as an ordinary user; put both below folders that everybody may "
        "pass (chmod o+x); allow `unshare -U`; or set database_url to a PostgreSQL of yours."
    )


def _let_pass(directory: Path) -> None:
    """Let another user pass (not list) the data directory and the database's folder, which are ours and private."""
    for folder in (directory, directory.parent):
        facts = folder.stat()
        if facts.st_uid == os.geteuid() and not facts.st_mode & 0o001:
            folder.chmod(facts.st_mode | 0o001)


def _works(command: list[str], identity: Identity | None = None) -> bool:
    prepare = None
    if identity is not None:
        prepare = die_with_parent(uid=identity.uid, gid=identity.gid)
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=20, preexec_fn=prepare, cwd="/")
        return done.returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
