"""What the whole run has shown of the Matrix API: every exchange that was recorded, held against the specification's
OpenAPI document; and the table that `make conformance` prints.

A run writes its record to a directory of its own (`start`), and is judged after the last test (`Judge`). An answer may
never contradict the document. A request that was taken may not either, unless a test made it by hand. Exchanges of the
same operation, status and shape (names and types of all members) are judged once.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

from madoguchi.desk.api import CHAPTERS as DESK_CHAPTERS
from madoguchi.desk.api import DESK
from madoguchi.matrix.api import CHAPTERS
from madoguchi.web.endpoint import Row
from tests import oracle

HTTP_ITSELF = (206, 304, 416, 503)
# Paths of proposals that the specification does not have yet.
BEYOND = ("/_matrix/client/unstable/", "/_matrix/client/v4/")
RECORDER = Path(__file__).parent / "recorder"


def start() -> None:
    """From here on the houses of this run write down what they are asked."""
    os.environ["RECORDED_EXCHANGES"] = tempfile.mkdtemp(prefix="mado-recorded-")


def environment() -> dict[str, str]:
    """What a house under test needs in its environment to be recorded."""
    directory = os.environ.get("RECORDED_EXCHANGES")
    return {"RECORDED_EXCHANGES": directory, "PYTHONPATH": str(RECORDER)} if directory else {}


def stop() -> "Judge":
    """Judges the record and takes it away."""
    judge = Judge()
    directory = os.environ.pop("RECORDED_EXCHANGES", None)
    if directory:
        for file in sorted(Path(directory).glob("*.jsonl")):
            judge.read(file)
        shutil.rmtree(directory)
    return judge


@dataclass
class Tally:
    """One operation of the document. exercised: answered as it is meant to be, at least once."""

    operation_id: str
    chapter: str
    refused: str | None
    seen: int = 0
    exercised: bool = False
    violations: list[str] = field(default_factory=list)


class Judge:
    """Counts and judges exchanges. Without the document nothing can be judged, and nothing is."""

    def __init__(self) -> None:
        self.operations = oracle.operations()
        self.tallies = _tallies(self.operations)
        # The desk's own operations, against the document that is made of them.
        self.own = {
            each.operation_id: Tally(each.operation_id, each.spec["tags"][0], None) for each in oracle.own_operations()
        }
        self._same: dict[tuple[str, str], list[Tally]] = {}
        for operation in self.operations:
            if operation.operation_id in self.tallies:
                same = self._same.setdefault((operation.method, _places(operation.path)), [])
                same.append(self.tallies[operation.operation_id])
        self.exchanges = 0
        self._known: set[tuple[Any, ...]] = set()
        self._of: dict[tuple[str, str], oracle.Operation | None] = {}

    @property
    def can_judge(self) -> bool:
        return bool(self.operations)

    @property
    def violations(self) -> list[str]:
        everything = (*self.tallies.values(), *self.own.values())
        return [each for tally in everything for each in tally.violations]

    @property
    def missing(self) -> list[str]:
        """Operations of the document that have no row."""
        return sorted({operation.operation_id for operation in self.operations} - set(self.tallies))

    def read(self, file: Path) -> None:
        """Takes in one process's record. Its last line may be torn: the process may have been killed."""
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    self.take(json.loads(line))

    def take(self, told: dict[str, Any]) -> None:
        """Takes in one exchange."""
        self.exchanges += 1
        method, status = told["method"], told["status"]
        path = re.sub(r"^/_matrix/(client|media)/r0/", r"/_matrix/\1/v3/", told["path"])
        is_own = path.startswith(DESK)
        operation = self._operation(method, path)
        if operation is None or operation.operation_id not in (self.own if is_own else self.tallies):
            return
        tally = (self.own if is_own else self.tallies)[operation.operation_id]
        # The specification's document has two operations on some methods and paths.
        for each in [tally] if is_own else self._tallies_of(operation):
            each.seen += 1
            each.exercised = each.exercised or (status < 400 if each.refused is None else status in (403, 404))
        asked, answered = _json(told["asked"]), _json(told["answer"]) if told["type"] == "application/json" else None
        by_hand = told["agent"] == oracle.TESTS
        key = (operation.operation_id, status, by_hand, _shape(answered), None if by_hand else _shape(asked),
               None if by_hand else tuple(sorted(name for name, _ in parse_qsl(told["query"]))))  # fmt: skip
        if key in self._known:
            return
        self._known.add(key)
        # Parts of files, what a browser has already, and a house whose database or store is away are HTTP's own
        # (RFC 9110), and what is documented is allowed.
        is_plain = status not in HTTP_ITSELF and not (status >= 500 and str(status) in operation.spec["responses"])
        if is_plain and (told["answer"] is not None or told["type"] != "application/json"):
            try:
                oracle.check(method, path, status, told["type"], (told["answer"] or "").encode())
            except oracle.Disagreement as wrong:
                tally.violations.append(str(wrong)[:600])
        if status < 400 and not by_hand:
            alike = [operation] if is_own else self._operations_of(operation)
            several = [_wrong_in_request(each, told["query"], asked) for each in alike]
            tally.violations += min(several, key=len)

    def _operations_of(self, operation: oracle.Operation) -> list[oracle.Operation]:
        key = (operation.method, _places(operation.path))
        return [each for each in self.operations if (each.method, _places(each.path)) == key]

    def _tallies_of(self, operation: oracle.Operation) -> list[Tally]:
        return self._same[operation.method, _places(operation.path)]

    def _operation(self, method: str, path: str) -> oracle.Operation | None:
        # Ids differ from call to call; what stands between the slashes of the first parts does not.
        key = (method, re.sub(r"[^/]*[!@$#%][^/]*|[0-9A-Za-z_-]{18,}", "*", path))
        if key not in self._of:
            self._of[key] = oracle.operation_of(method, path)
        return self._of[key]

    def summary(self) -> str:
        """One line for the end of a run."""
        if not self.can_judge:
            return "conformance: the specification's OpenAPI document is not here; nothing can be judged"
        exercised = sum(tally.exercised for tally in self.tallies.values())
        return (
            f"conformance: {len(self.tallies)}/{len(self.operations)} accounted for, {exercised} exercised, "
            f"{len(self.violations)} violations in {self.exchanges:,} exchanges; "
            f"the desk's own: {sum(tally.exercised for tally in self.own.values())}/{len(self.own)} exercised"
        )

    def table(self) -> Iterable[str]:
        """The chapters, one a line, and what is wrong or was not exercised."""
        heads = ("operations", "implemented", "refused", "exercised", "violations")
        yield f"{'chapter':<36} " + " ".join(f"{head:>11}" for head in heads)
        for chapter in CHAPTERS:
            own = [tally for tally in self.tallies.values() if tally.chapter == chapter]
            if own:
                refused = sum(tally.refused is not None for tally in own)
                wrong = sum(len(tally.violations) for tally in own)
                exercised = sum(tally.exercised for tally in own)
                numbers = (len(own), len(own) - refused, refused, exercised, wrong)
                yield f"{chapter:<36} " + " ".join(f"{number:>11}" for number in numbers)
        for chapter in DESK_CHAPTERS:
            own = [tally for tally in self.own.values() if tally.chapter == chapter]
            wrong, exercised = sum(len(tally.violations) for tally in own), sum(tally.exercised for tally in own)
            numbers = (len(own), len(own), 0, exercised, wrong)
            yield f"{'desk: ' + chapter:<36} " + " ".join(f"{number:>11}" for number in numbers)
        everything = (*self.tallies.values(), *self.own.values())
        idle = sorted(tally.operation_id for tally in everything if not tally.exercised)
        if idle:
            yield "not exercised: " + ", ".join(idle)
        if self.missing:
            yield "without a row: " + ", ".join(self.missing)
        yield from self.violations


def _tallies(operations: list[oracle.Operation]) -> dict[str, Tally]:
    """Every operation of the document that has a row, by its id."""
    rows: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for chapter, each in CHAPTERS.items():
        for row in each:
            rows.setdefault((row.method, _places(row.path)), []).append((chapter, row))
    found: dict[str, Tally] = {}
    # The document has two operations on some methods and paths; the table has a row for each.
    for operation in sorted(operations, key=lambda one: one.operation_id):
        candidates = rows.get((operation.method, _places(operation.path)), [])
        named = [one for one in candidates if one[1].operation == operation.operation_id] or candidates[:1]
        if named:
            chapter, row = named[0]
            found[operation.operation_id] = Tally(operation.operation_id, chapter, row.refused)
    return found


def _places(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.strip())


def _json(raw: str | None) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def _shape(value: Any, depth: int = 0) -> Any:
    """Names and types, without the values; of a list, those of its members that differ."""
    if isinstance(value, dict):
        if depth > 6:
            return "object"
        # Ids as names (rooms, users, devices) are values, not shape.
        members = {
            (name if name.isidentifier() or "." in name else "*", _shape(v, depth + 1)) for name, v in value.items()
        }
        return frozenset(members)
    if isinstance(value, list):
        return ("list", frozenset(_shape(each, depth + 1) for each in value[:200]))
    return type(value).__name__


def _wrong_in_request(operation: oracle.Operation, query: str, asked: Any) -> list[str]:
    wrong = []
    given = dict(parse_qsl(query, keep_blank_values=True))
    for parameter in operation.spec.get("parameters", ()):
        if parameter["in"] != "query":
            continue
        name = parameter["name"]
        if name not in given:
            if parameter.get("required"):
                wrong.append(f"{operation.operation_id}: the request misses {name}")
            continue
        schema = parameter.get("schema", {})
        error = next(iter(Draft202012Validator(schema).iter_errors(_typed(given[name], schema))), None)
        if error is not None:
            wrong.append(f"{operation.operation_id}: {name} of the request: {error.message[:200]}")
    schema = operation.body_schema
    if schema is not None and asked is not None:
        error = next(iter(Draft202012Validator(schema).iter_errors(asked)), None)
        if error is not None:
            where = "/".join(str(step) for step in error.absolute_path)
            wrong.append(f"{operation.operation_id}: the request's body at {where or 'the top'}: {error.message[:200]}")
    return wrong


def _typed(text: str, schema: dict[str, Any]) -> Any:
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    match schema.get("type"):
        case "integer" | "number" if re.fullmatch(r"-?[0-9]+", text):
            return int(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "array":
            return [text]
    return text
