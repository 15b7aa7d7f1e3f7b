"""How a service tells what it is doing, whoever listens.

A service takes a `Reporter` and calls it as it goes. Who listens is the front end's business: a
progress bar on a terminal, JSON lines in a pipe, the event log of a run directory, or nobody.
A job's reporter also has a folder and passes on what users ask of it; `run_folder` and `asked` are how a
service gets at these whoever listens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


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


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a user asks of living work, beside stopping and pausing it."""

    action: str
    """``checkpoint``, ``validate``, ``lr`` or ``stop_after_epoch``."""
    by: str
    """Who asked."""
    value: float | None = None
    """What to set, where the action sets something: the learning rate."""


def run_folder(report: Reporter) -> Path | None:
    """Return the run directory that a report goes to; None where it goes to none."""
    folder = getattr(report, "folder", None)
    return folder if isinstance(folder, Path) else None


def asked(report: Reporter) -> tuple[Ask, ...]:
    """Return what was asked of the work since the last call, oldest first; each is handed out once."""
    take = getattr(report, "asked", None)
    return tuple(take()) if callable(take) else ()
