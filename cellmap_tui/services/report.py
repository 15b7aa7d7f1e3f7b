"""How a service tells what it is doing, whoever listens.

A service takes a `Reporter` and calls it as it goes. Who listens is the front end's business: a
progress bar on a terminal, JSON lines in a pipe, the event log of a run directory, or nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Reporter(Protocol):
    """What a service may say while it works."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell how much is done, of how much (None: not known), in which unit."""

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Tell measured values of a step."""

    def note(self, message: str) -> None:
        """Tell something worth knowing."""

    def warning(self, message: str) -> None:
        """Tell something that may need the user's attention."""

    def artefact(self, path: Path, kind: str) -> None:
        """Tell that a file or folder of this kind now exists."""

    def checkpoint(self) -> None:
        """Give the user a say between two units of work.

        Waits here while the job is paused.

        Raises
        ------
        Stopped
            When the user asked to stop.
        """


class SilentReporter:
    """Nobody listens."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Ignore it."""

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""

    def warning(self, message: str) -> None:
        """Ignore it."""

    def artefact(self, path: Path, kind: str) -> None:
        """Ignore it."""

    def checkpoint(self) -> None:
        """Go on."""
