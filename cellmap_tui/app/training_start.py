"""Start a training as a job of its own; called in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.training_feed import TRAIN

if TYPE_CHECKING:
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.train_model import TrainRequest


def start_training(settings: Settings, request: TrainRequest) -> str:
    """Start a training and return the name of its run.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run
    from cellmap_tui.services.settings import checked_runs_root

    words = ["cellmap-tui", TRAIN, str(request.config or "")]
    for one in request.sets:
        words += ["--set", one]
    run = create_run(checked_runs_root(settings), TRAIN, request, words)
    launch(run)
    return run.run_id
