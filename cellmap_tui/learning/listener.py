"""Who hears how building goes on: what the packages above hand in, said here as far as it is used."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """What building a bank says; a service's reporter is one."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell how much is done, of how much, in which unit."""

    def note(self, message: str) -> None:
        """Tell something worth knowing."""

    def warning(self, message: str) -> None:
        """Tell something that may need the user's attention."""

    def checkpoint(self) -> None:
        """Wait here while paused; raise Stopped when the user asked to stop."""


class Silence:
    """Nobody listens."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""

    def warning(self, message: str) -> None:
        """Ignore it."""

    def checkpoint(self) -> None:
        """Go on."""
