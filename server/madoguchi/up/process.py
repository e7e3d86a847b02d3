"""One child process of the supervisor: started, watched, started again, stopped."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from madoguchi import logs
from madoguchi.up.children import die_with_parent

log = logs.get(__name__)

FIRST_PAUSE = 0.2
# Shorter than the time in which the bridges can still tell whether a reply had reached an app.
LONGEST_PAUSE = 15.0
# A child that lived this long was well; the next pause is short again.
WELL_AFTER = 60.0
STOP_SECONDS = 10.0
LARGEST_LOG = 64 * 1024 * 1024


class Child:
    """`madoguchi VERB` as a process of its own with `environ`; its output goes to `log_file`."""

    def __init__(self, verb: str, environ: Mapping[str, str], log_file: Path) -> None:
        self.verb = verb
        self.deaths = 0
        self.process: Process | None = None
        self._environ = dict(environ)
        self._log_file = log_file
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Start it and keep it alive until `stop`."""
        self._task = asyncio.create_task(self._keep_alive(), name=f"keep {self.verb} alive")

    async def stop(self) -> None:
        """Ask it to end (SIGTERM), after STOP_SECONDS make it end."""
        self._stopping = True
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
            except TimeoutError:
                log.warning("does not stop when asked, killed", child=self.verb, pid=self.process.pid)
                self.kill()
                await self.process.wait()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def kill(self) -> None:
        """End it at once."""
        self._stopping = True
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, indented, for showing why it does not run."""
        try:
            with self._log_file.open("rb") as file:
                file.seek(max(0, self._log_file.stat().st_size - 8192))
                text = file.read().decode(errors="replace").splitlines()
        except OSError:
            text = []
        return "\n".join("    " + line for line in text[-lines:])

    def trim_log(self) -> None:
        """Move a log that has grown too large aside. Copied, not renamed: the child goes on appending to the file."""
        with contextlib.suppress(OSError):
            if self._log_file.stat().st_size > LARGEST_LOG:
                older = self._log_file.with_suffix(".log.1")
                shutil.copyfile(self._log_file, older)
                older.chmod(0o600)
                os.truncate(self._log_file, 0)

    async def _keep_alive(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            self.deaths += 1
            if time.monotonic() - started > WELL_AFTER:
                pause = FIRST_PAUSE
            log.warning("died, will be started again", child=self.verb, code=code, pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_once(self) -> int:
        self.trim_log()
        with _append_to(self._log_file) as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "madoguchi", self.verb,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=self._environ,
                # A session of its own: Ctrl-C in the terminal reaches only the supervisor, which stops all in order.
                start_new_session=True, preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
        log.info("started", child=self.verb, pid=self.process.pid)
        return await self.process.wait()


def _append_to(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
