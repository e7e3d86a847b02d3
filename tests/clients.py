"""Which Matrix client was seen to do what: the table of docs/matrix-clients.md, tied to the tests that see it.

CLIENTS says of each client which test shows which steps. Such a test takes the fixture `shows` and does each step
inside `with shows(EDIT): …`; one that shows more or less than CLIENTS says fails. `matrix/test_clients.py` holds
CLIENTS against the tests, and the page against CLIENTS (`python -m tests.clients` writes its table anew).
"""

import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import environments

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "matrix-clients.md"
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)

LOGIN = "login by password"
TALK = "encrypted room, both directions"
FILE = "encrypted attachment, up and down"
EDIT = "edit"
REACTION = "reaction"
REDACTION = "redaction"
TYPING = "typing"
RECEIPT = "read receipt"
DEVICE = "second device"
SIGNING = "cross-signing and secret storage"
ASKING = "an older message's key, asked from one's other device"
BACKUP = "key backup and restore"
HISTORY = "history for whoever is invited"
BACK = "the state as it is, for whoever comes back"
ASLEEP = "messages read that were sent while logged out"
RULES = "push rules and tags"
STEPS = (
    LOGIN, TALK, FILE, EDIT, REACTION, REDACTION, TYPING, RECEIPT, DEVICE, SIGNING, ASKING, BACKUP, HISTORY, BACK,
    ASLEEP, RULES,
)  # fmt: skip

# A library that can do the step says this word somewhere.
WORDS = {SIGNING: "device_signing", BACKUP: "room_keys", HISTORY: "room_key_bundle", ASLEEP: "dehydrated_device"}


@dataclass(frozen=True)
class Client:
    """A client and what is seen of it. A note stands behind the "yes" of its step, or instead of it."""

    name: str
    shown: Mapping[str, tuple[str, ...]]  # test -> steps
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # test -> steps whose word its library lacks
    notes: Mapping[str, str] = field(default_factory=dict)

    def cell(self, step: str) -> str:
        note = self.notes.get(step, "")
        if any(step in steps for steps in self.shown.values()):
            return f"yes; {note}" if note else "yes"
        return "the library has none" if any(step in steps for steps in self.lacks.values()) else note or "–"


def _js_sdk() -> str:
    package = json.loads((ROOT / "client-web" / "package.json").read_text())
    return f"matrix-js-sdk {package['dependencies']['matrix-js-sdk']}"


_NIO = f"matrix-nio {importlib.metadata.version('matrix-nio')}"
_ALL_OF_JS = tuple(step for step in STEPS if step != ASKING)
_CLEAR = "sent in clear"

CLIENTS = (
    Client(
        f"{_js_sdk()}, Node",
        {"tests/matrix/test_js_sdk.py::test_two_people_and_their_devices": _ALL_OF_JS},
        notes={REACTION: _CLEAR, ASLEEP: "by a dehydrated device"},
    ),
    Client(
        f"{_js_sdk()}, Chromium",
        {"tests/browser/test_js_sdk_in_chromium.py::test_two_people_and_their_devices": _ALL_OF_JS},
        notes={REACTION: _CLEAR, ASLEEP: "by a dehydrated device"},
    ),
    Client(
        _NIO,
        {
            "tests/matrix/test_nio.py::test_two_people_talk_and_the_server_understands_nothing": (LOGIN, TALK),
            "tests/matrix/test_nio.py::test_a_new_device_reads_what_is_written_after_it_came": (DEVICE,),
            "tests/matrix/test_nio.py::test_media_edit_reaction_redaction_and_receipt": (
                FILE, EDIT, REACTION, REDACTION, TYPING, RECEIPT,
            ),
        },
        {"tests/matrix/test_nio.py::test_what_it_lacks": (SIGNING, BACKUP, HISTORY, ASLEEP)},
        {REACTION: _CLEAR},
    ),
    Client(
        f"mautrix {environments.MAUTRIX}",
        {
            "tests/matrix/test_mautrix.py::test_an_ordinary_client": (
                LOGIN, TALK, FILE, EDIT, REACTION, REDACTION, TYPING, RECEIPT,
            ),
            "tests/matrix/test_mautrix.py::test_a_second_device": (DEVICE, SIGNING, ASKING),
        },
        {"tests/matrix/test_mautrix.py::test_what_it_lacks": (BACKUP, HISTORY, ASLEEP)},
        {REACTION: _CLEAR},
    ),
    Client(
        f"mautrix {environments.MAUTRIX}, application service",
        {"tests/stories/test_mautrix.py::test_an_encrypted_ghost_talks_in_a_case": (TALK, TYPING, RECEIPT)},
        notes={LOGIN: "none: a ghost's device is made without", TYPING: "as reader", RECEIPT: "as reader"},
    ),
    Client(
        f"maubot {environments.MAUBOT} (on mautrix)",
        {"tests/matrix/test_maubot.py::test_a_bot_answers": (LOGIN, TALK, REACTION, RECEIPT)},
        notes={TALK: "in a room in clear too", REACTION: _CLEAR},
    ),
    Client(
        f"matrix-commander {environments.MATRIX_COMMANDER} (on matrix-nio)",
        {"tests/matrix/test_matrix_commander.py::test_from_the_command_line": (
            LOGIN, TALK, FILE, EDIT, REACTION, REDACTION,
        )},
        notes={REACTION: _CLEAR},
    ),
)  # fmt: skip


class Shown:
    """What one test shows of a client."""

    def __init__(self, test: str) -> None:
        self.test = test
        self.steps: list[str] = []
        self.missed: list[str] = []

    @contextmanager
    def __call__(self, *steps: str) -> Iterator[None]:
        """The steps are shown once the block has ended well."""
        yield
        self.reported(*steps)

    def reported(self, *steps: str) -> None:
        """A program that plays the client has told of these steps, each once it was over."""
        self.steps += steps

    def lacks(self, library: Path, *steps: str) -> None:
        """These steps' words stand nowhere in the library's sources (a folder)."""
        sources = [file.read_text(encoding="utf-8") for file in library.rglob("*.py")]
        assert sources, library
        for step in steps:
            assert not any(WORDS[step] in source for source in sources), f"{library.name} has learnt it: {step}"
        self.missed += steps

    def agrees(self) -> None:
        """Raises AssertionError unless this is what CLIENTS says of the test."""
        shown = [step for client in CLIENTS for step in client.shown.get(self.test, ())]
        missed = [step for client in CLIENTS for step in client.lacks.get(self.test, ())]
        assert sorted(self.steps) == sorted(shown), f"tests/clients.py says of {self.test} that it shows {shown}"
        assert sorted(self.missed) == sorted(missed), f"tests/clients.py says of {self.test}: lacks {missed}"


def table() -> str:
    """The page's table, as it has to be."""
    rows = [["step", *(client.name for client in CLIENTS)], ["---"] * (len(CLIENTS) + 1)]
    rows += [[step, *(client.cell(step) for client in CLIENTS)] for step in STEPS]
    files = [sorted({test.partition("::")[0] for test in client.shown}) for client in CLIENTS]
    rows.append(["seen in", *(", ".join(f"[{Path(file).name}](../{file})" for file in each) for each in files)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")
