"""A public key in a file of the operator's own, so that nobody has to believe the server which one counts."""

from pathlib import Path

from madoguchi.files import write_private


def read(file: Path) -> str | None:
    """What a file says (a key: in unpadded base64), None where there is none. Raises OSError."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip() or None
    except FileNotFoundError:
        return None


def write(file: Path, text: str) -> None:
    """Writes that, in the place of what was there; after a crash the old stands or the new. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, f"{text}\n".encode("ascii"))
