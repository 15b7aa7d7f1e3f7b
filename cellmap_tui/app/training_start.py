"""Start a training, or the look before it, as a job of its own; called in a thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.train_model import TrainRequest

TRAIN = "train"
"""Name of the command."""
LOOKS = "looks"
"""Folder of the looks before trainings, below the state folder: they are not trainings, so not among the runs."""
KEPT_LOOKS = 5
"""Looks whose folders stay."""


def start_training(settings: Settings, request: TrainRequest) -> str:
    """Start a training and return the name of its run.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    from cellmap_tui.services.settings import checked_runs_root

    return _launched(checked_runs_root(settings), replace(request, dry_run=False)).run_id


def start_look(settings: Settings, request: TrainRequest) -> RunDir:
    """Start the look before a training and return where it is written.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    from cellmap_tui.jobs.prune import prune, prune_plan

    root = settings.state_dir.absolute() / LOOKS
    root.mkdir(parents=True, exist_ok=True)
    prune(prune_plan(root, keep=KEPT_LOOKS))
    return _launched(root, replace(request, dry_run=True))


def end_look(run: RunDir) -> None:
    """Ask a look to stop; one that has ended stays as it is."""
    from cellmap_tui.errors import CellmapError
    from cellmap_tui.jobs.runs import stop_run

    try:
        stop_run(run)
    except CellmapError:
        # It has ended meanwhile, or is on its way: nobody waits for it any more.
        return


def _launched(root: Path, request: TrainRequest) -> RunDir:
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run

    run = create_run(root, TRAIN, request, command_line(request))
    launch(run)
    return run


def command_line(request: TrainRequest) -> list[str]:
    """Return the command that asks the same."""
    words = ["cellmap-tui", TRAIN]
    words += [] if request.config is None else [str(request.config)]
    for one in request.sets:
        words += ["--set", one]
    words += ["--name", request.name] if request.name else []
    words += ["--init-from", str(request.init_from)] if request.init_from is not None else []
    if request.score_every is not None:
        words += ["--score-every", str(request.score_every), "--profile", request.score_profile]
    words += ["--devices", str(request.devices)] if request.devices is not None else []
    words += ["--max-hours", f"{request.max_hours:g}"] if request.max_hours is not None else []
    words += ["--dry-run"] if request.dry_run else []
    return words + (["--force"] if request.force else [])
