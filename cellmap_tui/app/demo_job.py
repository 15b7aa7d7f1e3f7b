"""The demo as a job: started detached from a screen, found again by its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.settings import Settings

COMMAND = "demo"


def start_demo(settings: Settings) -> str:
    """Start the demo as a job of its own and return the run's name.

    Raises
    ------
    CellmapError
        If the run cannot be made or the job cannot start.
    """
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run
    from cellmap_tui.services.registry import find_command

    root = demo_root(settings)
    # Browsing an older demo makes its data this session's root; there is nothing of the user's to stay out of.
    user_data_root = None if settings.data_root.is_relative_to(root) else settings.data_root
    request = find_command(COMMAND).request_model()(root=root, user_data_root=user_data_root)
    run = create_run(settings.runs_root, COMMAND, request, ("cellmap-tui", COMMAND))
    launch(run)
    return run.run_id


def demo_root(settings: Settings) -> Path:
    """Return the folder of the demo: never inside the user's data."""
    return settings.state_dir / "demo"


def demo_run(runs: Sequence[RunSummary]) -> RunSummary | None:
    """Return the run of the demo that counts: one that goes on, else one that is done, else the newest."""
    demos = [run for run in runs if run.command == COMMAND]
    alive = [run for run in demos if run.is_live]
    done = [run for run in demos if run.state == "done"]
    return next(iter([*alive, *done, *demos]), None)


def demo_data_root(run: RunSummary) -> Path | None:
    """Return the data root that a finished demo has made, if it is still there."""
    from pathlib import Path

    from cellmap_tui.errors import DataError
    from cellmap_tui.jobs.files import read_json_object
    from cellmap_tui.jobs.rundir import RunDir

    try:
        result = read_json_object(RunDir(run.path).result_path) or {}
    except DataError:
        return None
    value = result.get("value", result)
    found = value.get("data_root") if isinstance(value, dict) else None
    return Path(found) if isinstance(found, str) and Path(found).is_dir() else None
