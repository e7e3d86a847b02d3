"""What a process leaves behind on the machine."""

import subprocess
import sys


def test_no_process_leaves_a_core_dump_or_a_file_for_others() -> None:
    program = (
        "import os, resource; from madoguchi.cli import keep_to_ourselves; keep_to_ourselves();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "(0, 0) 0o77"
