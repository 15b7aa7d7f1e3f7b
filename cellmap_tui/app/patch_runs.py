"""Patches as jobs: the newest that has some to look at, what it was asked, what it found. Called in threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.app.run_results import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.patch_looks import PatchLooks
    from cellmap_tui.services.patches_model import PatchesRequest, PatchesResult
    from cellmap_tui.services.settings import Settings

COMMAND = "patches"


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPatches:
    """What a job has drawn."""

    run_id: str
    """Its run."""
    request: PatchesRequest
    """What it was asked."""
    result: PatchesResult
    """What it found."""
    looks: PatchLooks
    """The patches."""


def newest_patches(runs: Sequence[RunSummary]) -> RunSummary | None:
    """Return the newest finished job that kept patches."""
    from cellmap_tui.services.patch_looks import FILE

    return next(
        (run for run in runs if run.command == COMMAND and run.state == "done" and (run.path / FILE).is_file()), None
    )


def read_patches(run: RunSummary) -> DrawnPatches:
    """Read what a job has drawn.

    Raises
    ------
    CellmapError
        If it is gone, damaged, or of another version.
    """
    from cellmap_tui.services.patch_looks import FILE, read_looks
    from cellmap_tui.services.patches_model import PatchesRequest, PatchesResult

    request, result = read_run(run.path, PatchesRequest, PatchesResult, "draw the patches again")
    return DrawnPatches(run.run_id, request, result, read_looks(run.path / FILE))


def start_patches(settings: Settings, request: PatchesRequest) -> str:
    """Start a job that draws patches, and return the name of its run.

    Raises
    ------
    CellmapError
        If it cannot be started.
    """
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run

    run = create_run(settings.runs_root, COMMAND, request, ("cellmap-tui", COMMAND, str(request.split)))
    launch(run)
    return run.run_id
