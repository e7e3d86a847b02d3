"""The one searcher for planted words (words.py): looks into whatever was left lying anywhere, in every form.

    search = Search()
    search.house(house)
    search.ends()  # raises with every place where a word lies that does not belong there, and where the word is from

Kinds of places, the beginning of a place's name:

database  a backup of it, table by table, and its own files
file      what else lies in a data directory, logs too, and what its processes put into temporary files
held      what processes hold open or have mapped, and what lies in shared memory
process   command lines and environments
wire      what `serve` was asked and has answered
told      what went to push gateways, push services and application services
audit     an export of the audit log
shown     what other commands and open addresses give
browser   a browser's folder on disk
"""

import base64
import functools
import io
import json
import os
import re
import stat
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from tests.postgres import bindir
from tests.words import SECRETS, SPOKEN, STEM, first_at

if TYPE_CHECKING:
    from tests.house import House

# What houses under test have sent to the world outside: who took it, and what. Stand-ins write it down here.
TOLD: list[tuple[str, bytes]] = []
_CUT = "a word cut off"
# FirstNormalObjectId of PostgreSQL's access/transam.h.
_FIRST_OWN = 16384
_ZLIB = re.compile(rb"\x1f\x8b\x08|x[\x01\x5e\x9c\xda]")
_OPENED = 8 * 1024 * 1024


# -- forms -----------------------------------------------------------------------------------------------------------
def _base64(before: int, text: str) -> bytes:
    # Without the characters that the neighbours have a part in. Letters give neither + nor /: it is base64url, too.
    encoded = base64.b64encode(b"\0" * before + text.encode())
    return encoded[(0, 2, 3)[before] : (len(text.encode()) + before) // 3 * 4]


FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    # Without its last byte it stands in UTF-16BE, too.
    "UTF-16": lambda text: text.encode("utf-16-le")[:-1],
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "as JSON has it": lambda text: json.dumps(text)[1:-1].encode(),
    "escaped in JSON": lambda text: "".join(f"\\u{ord(each):04x}" for each in text).encode(),
    "ESCAPED in JSON": lambda text: "".join(f"\\u{ord(each):04X}" for each in text).encode(),
    "as an address has it": lambda text: quote(text).encode(),
    "escaped in an address": lambda text: "".join(f"%{each:02x}" for each in text.encode()).encode(),
    "ESCAPED in an address": lambda text: "".join(f"%{each:02X}" for each in text.encode()).encode(),
    "base64": functools.partial(_base64, 0),
    "base64, one byte on": functools.partial(_base64, 1),
    "base64, two bytes on": functools.partial(_base64, 2),
}
_STEMS = {form(STEM): form for form in FORMS.values()}
# PostgreSQL's pglz puts a byte of its own before every eight: of sixteen letters in a row eight stay together.
_PIECES = [STEM[at : at + 8].encode() for at in range(9)]


def words_in(content: bytes, *, in_pieces: bool = False) -> set[str]:
    """The planted words that stand in `content` in any form; of one that is cut off only that there is one.

    in_pieces: also as PostgreSQL compresses a long value in its files.
    """
    found = set()
    for stem, form in _STEMS.items():
        at = content.find(stem)
        while at >= 0:
            found.add(_whole(content[at : at + 10 * len(STEM)], form))
            at = content.find(stem, at + len(stem))
    if in_pieces and not found and any(piece in content for piece in _PIECES):
        found.add(_CUT)
    found |= {text for text in SECRETS if any(form in content for form in {form(text) for form in FORMS.values()})}
    return found


def _whole(beginning: bytes, form: Callable[[str], bytes]) -> str:
    return next((text for text in SPOKEN if beginning.startswith(form(text))), _CUT)


def unpacked(content: bytes) -> Iterator[bytes]:
    """What is compressed in `content`, wherever it begins: gzip, zlib, and the files of a .zip."""
    for start in _ZLIB.finditer(content):
        opened = _inflated(memoryview(content)[start.start() :])
        if opened:
            yield opened
    if content.startswith(b"PK\x03\x04"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def _inflated(content: memoryview) -> bytes:
    """As far as it can be opened: a stream may be cut or end in something else."""
    opener, opened = zlib.decompressobj(zlib.MAX_WBITS | 32), bytearray()
    step = 256
    with suppress(zlib.error):
        for at in range(0, len(content), step):
            opened += opener.decompress(content[at : at + step])
            if opener.eof or len(opened) > _OPENED:
                break
    return bytes(opened)


# -- places ----------------------------------------------------------------------------------------------------------
class Search:
    """What was looked into, and what was found there."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}  # by place; empty where nothing was
        self.bytes = 0

    def at(self, place: str, content: bytes, *, packed: bool = True) -> None:
        """Looks into something. `place`: its kind, and which of them. packed: also into what is compressed in it."""
        self.bytes += len(content)
        words = self.found.setdefault(place, set())
        words |= words_in(content)
        for inside in unpacked(content) if packed else ():
            words |= words_in(inside)

    def files(self, kind: str, top: Path, paths: Iterable[Path]) -> None:
        """Looks into files under `top`; what comes and goes meanwhile is passed over."""
        for path in paths:
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    self.at(f"{kind}: {path.relative_to(top)}", path.read_bytes())

    def folder(self, kind: str, top: Path) -> None:
        """Looks into everything under a folder."""
        self.files(kind, top, top.rglob("*"))

    def backup(self, house: "House") -> None:
        """Looks into a backup of the database, made and read as an operator does, table by table."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "desk.dump"
            house.backs_up(file)
            # Its compressed parts come in pieces, at whose ends a word would look cut off.
            self.at("database: the backup itself", file.read_bytes(), packed=False)
            command = [str(bindir() / "pg_restore"), "--file=-", str(file)]
            restored = subprocess.run(command, check=True, capture_output=True).stdout
        for table in restored.split(b"\nCOPY ")[1:]:
            self.at(f"database: {table.split(maxsplit=1)[0].decode()}", table, packed=False)

    def processes(self, house: "House") -> None:
        """Looks into what anybody on the machine sees of a house's processes, and what they hold open or have mapped,
        also where that has no name any more.

        Programs and libraries are left out, which nobody has written to; so are the database server's files, which are
        searched by themselves.
        """
        for process in house.everybody():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                told = "\0".join([*process.cmdline(), *process.environ().values()])
                self.at(f"process: {process.name()} {process.pid}", told.encode())
                if process.name() != "postgres":
                    self._held(process)
        for path in Path("/dev/shm").iterdir():
            self.files("held", path.parent, [path])

    def _held(self, process: psutil.Process) -> None:
        for folder in ("fd", "map_files"):
            for file in _listed(Path(f"/proc/{process.pid}/{folder}")):
                with suppress(OSError):  # closed by now
                    facts, name = file.stat(), file.readlink()
                    # The recorder's own file is looked into by itself.
                    if (
                        stat.S_ISREG(facts.st_mode)
                        and facts.st_mtime >= process.create_time()
                        and name not in self._records()
                    ):
                        self.at(f"held: {process.name()} {name}", file.read_bytes())

    def at_rest(self, house: "House") -> None:
        """Looks into every file of a house, and into its database's own once that has stopped."""
        postgres = house.data / "postgres"
        apart = [path for path in house.written() if postgres not in path.parents]
        self.files("file", house.data.parent, apart)
        if not house.everybody():
            self.cluster(postgres)

    def cluster(self, top: Path) -> None:
        """Looks into the files of a database server that has stopped, those that have changed since there are words."""
        since = first_at()
        for path in top.rglob("*"):
            if path.is_file() and path.stat().st_mtime >= since:
                content = path.read_bytes()
                self.bytes += len(content)
                # Statistics, below the first number that is a table's of ours, hold samples of what is allowed, too.
                ours = path.name.partition(".")[0].isdigit() and int(path.name.partition(".")[0]) >= _FIRST_OWN
                self.found[f"database: {path.relative_to(top.parent)}"] = words_in(content, in_pieces=ours)

    def wire(self) -> None:
        """Looks into all that was recorded between anybody and a `serve` of this run (recorder/)."""
        for record in self._records():
            with record.open("rb") as lines:
                while part := b"".join(lines.readlines(_OPENED)):
                    self._exchanges(part)

    @staticmethod
    def _records() -> list[Path]:
        directory = os.environ.get("RECORDED_EXCHANGES")
        return list(Path(directory).glob("*.jsonl")) if directory else []

    def _exchanges(self, part: bytes) -> None:
        self.bytes += len(part)
        if not words_in(part):
            return
        for line in part.splitlines():
            method, path = re.findall(rb'^{"method": "(\w+)", "path": "([^"?]*)"', line)[0]
            self.at(f"wire: {method.decode()} {path.decode()}", line)

    # -- and in the end ----------------------------------------------------------------------------------------------
    def lies_in(self, kind: str) -> set[str]:
        """The words that were found in places of a kind."""
        return {text for place, words in self.found.items() if place.startswith(kind) for text in words}

    def ends(self) -> None:
        """Raises AssertionError for each word that lies where docs/security.md does not say so."""
        wrong = []
        for place, words in self.found.items():
            for text in words:
                planted = SPOKEN.get(text) or SECRETS.get(text)
                if planted is None or place.partition(":")[0] not in planted.lies_in:
                    wrong.append(f"{place}: {planted.origin if planted else text}")
        assert not wrong, "words lie where they do not belong:\n" + "\n".join(sorted(wrong))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
