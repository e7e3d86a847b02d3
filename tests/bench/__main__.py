"""`make bench`: the same loads on Synapse and on ours, alternately, in one run.

    make bench                  everything (about twelve minutes)
    make bench PART=send        one part: delivery, initial, history, send, idle, ceiling, scaling; several with commas
    make bench QUICK=1          small numbers, to see that it works

Prints a table with ratios and writes build/bench.json. README.md beside this file says what each number means.
"""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvloop

from tests.bench.parts import PARTS, Bench
from tests.bench.report import show
from tests.bench.servers import POSTGRES, ROOT, Ours, Server, Synapse
from tests.postgres import Postgres

MAKERS: dict[str, Callable[[Path, Postgres], Server]] = {"synapse": Synapse, "madoguchi": Ours}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--part", default="", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--only", default="", choices=["", *MAKERS], help="one server instead of both")
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often a load is repeated on each server, alternately"
    )
    chosen = parser.parse_args()
    parts = [part.strip() for part in chosen.part.split(",") if part.strip()] or list(PARTS)
    for part in parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="mado-") as directory:
        postgres = Postgres(Path(directory), POSTGRES)
        postgres.start()
        servers: list[Server] = []
        try:
            for name, make in MAKERS.items():
                if chosen.only in ("", name):
                    servers.append(make(Path(directory), postgres))
            bench = Bench(servers, postgres, quick=chosen.quick, rounds=chosen.rounds)
            uvloop.run(_run(bench, parts))
        finally:
            for server in servers:
                server.stop()
            postgres.stop()
    machine = {"python": platform.python_version(), "machine": platform.machine(), "postgres": POSTGRES}
    written = ROOT / "build" / "bench.json"
    written.parent.mkdir(exist_ok=True)
    written.write_text(json.dumps({"machine": machine, "quick": chosen.quick, "results": bench.results}, indent=2))
    show(bench.results)
    print(f"written to {written.relative_to(ROOT)}")
    return 0


async def _run(bench: Bench, parts: list[str]) -> None:
    for server in bench.servers:
        server.start()
    for part in PARTS:  # always in this order: the flood pollutes what is measured after it
        if part in parts:
            print(f"bench: {part} …", flush=True)
            await PARTS[part](bench)
            await asyncio.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
