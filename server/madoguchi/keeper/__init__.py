"""The keeper 記録係: a visible member of every case room that seals keys for the vault and gives history on invite."""

from pathlib import Path


def published(data: Path) -> Path:
    """The file that says: the keeper's device is known, and from now on keys wait for it however long it is away."""
    return data / "keeper" / "published"
