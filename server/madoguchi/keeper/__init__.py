"""The keeper 記録係: a visible member of every case room that seals keys for the vault and gives history on invite."""

from madoguchi.keeper.process import run

__all__ = ["run"]
