"""What a process leaves behind on the machine."""

import signal
import subprocess
import sys

import pytest

from tests.search import words_in
from tests.words import word

# Somebody's words are in a variable and in the text of the error; then a process of ours ends, or a part of it.
ENDS = {
    "by an error": "raise error",
    "in a thread": "import threading; thread = threading.Thread(target=fails); thread.start(); thread.join()",
    "in a task": "import asyncio; asyncio.run(forgets())",
    "in what nobody waits for": "Careless()",
    "by SIGABRT": "import os; os.abort()",
}
BEGINS = """
import faulthandler, sys
from madoguchi import logs
from madoguchi.cli import keep_to_ourselves
logs.setup("keeper")
keep_to_ourselves()
faulthandler.enable()
said = sys.stdin.read()
error = ValueError(said)

def fails():
    heard = said
    raise error

async def forgets():
    import asyncio, gc
    async def one():
        fails()
    task = asyncio.ensure_future(one())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()

class Careless:
    def __repr__(self):
        return said
    def __del__(self):
        fails()

"""


def test_no_process_leaves_a_core_dump_or_a_file_for_others() -> None:
    program = (
        "import os, resource; from madoguchi.cli import keep_to_ourselves; keep_to_ourselves();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "(0, 0) 0o77"


@pytest.mark.parametrize("how", ENDS)
def test_what_a_process_had_in_mind_is_not_in_what_it_says_at_its_end(how: str) -> None:
    said = word("眠れない")
    told = subprocess.run(
        [sys.executable, "-c", BEGINS + ENDS[how]], input=said, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode in (0, 1, -signal.SIGABRT)
    assert told.stderr and "眠れない" not in told.stderr
    assert words_in(f"{told.stdout}{told.stderr}".encode()) == set()
    # Where it was is told all the same, in a line of ours; of a death by a signal by Python.
    assert "ValueError at" in told.stderr or how == "by SIGABRT"
