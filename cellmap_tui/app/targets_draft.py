"""Targets while they are edited, and the files beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge import target_edits as edits

if TYPE_CHECKING:
    from cellmap_tui.challenge.targets import Targets


def here(name: str) -> Path | None:
    """Return a file of the current folder, if it is there."""
    path = Path(name).absolute()
    return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class TargetsDraft:
    """Targets while they are edited, kept when the screen is left."""

    targets: Targets = edits.NOTHING
    """As they are now."""
    past: tuple[Targets, ...] = ()
    """As they were before each change, the oldest first."""
    path: Path | None = None
    """The file that they were read from or saved to."""
    saved: Targets = edits.NOTHING
    """As the file has them."""
