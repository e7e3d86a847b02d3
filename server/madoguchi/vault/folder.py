"""A transcript's files in a folder or a .zip: written so that only their owner reads them, read to be verified."""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write(place: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder, or a new file when the name ends with .zip. Raises FileExistsError, OSError."""
    if place.suffix == ".zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        write_file(place, packed.getvalue())
        return
    place.mkdir(mode=0o700)
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, content)


def write_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, and see it on disk. Raises FileExistsError, OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read(place: Path) -> dict[str, bytes]:
    """Name → content of all there is; what a link points to is not read. Raises OSError, zipfile.BadZipFile."""
    if place.is_dir():
        found = {}
        for path in sorted(place.rglob("*")):
            if path.is_symlink() or not path.is_dir():
                found[path.relative_to(place).as_posix()] = b"" if path.is_symlink() else path.read_bytes()
        return found
    with zipfile.ZipFile(place) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        if len(names) != len(set(names)):
            raise zipfile.BadZipFile("a name stands in it twice")
        return {name: archive.read(name) for name in names}
