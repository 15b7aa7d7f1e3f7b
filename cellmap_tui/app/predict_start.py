"""Start a prediction as a job of its own; called in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.settings import Settings

PREDICT, PROCESS, TUNE = "predict", "process", "tune"
"""Names of the commands that the screen follows."""


def start_prediction(settings: Settings, request: PredictRequest) -> str:
    """Start a prediction and return the name of its run.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run
    from cellmap_tui.services.settings import checked_runs_root

    words = ["cellmap-tui", PREDICT, *request.checkpoints]
    words += ["--ensemble", str(request.ensemble)] if request.ensemble is not None else []
    words += ["--em", request.em] if request.em else ["--crops", request.crops]
    run = create_run(checked_runs_root(settings), PREDICT, request, words)
    launch(run)
    return run.run_id
