"""Start a fetch, or a check of what it brought, as a job of its own; called in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.fetch_feed import FETCH

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.settings import Settings


def start_fetch(settings: Settings, request: FetchRequest) -> str:
    """Start a fetch and return the name of its run.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    return _start(settings, FETCH, request, ("--crops", request.crops))


def start_again(settings: Settings, run: RunSummary) -> str:
    """Ask once more for what a run was asked: what is verified is not downloaded again.

    Raises
    ------
    CellmapError
        If its request cannot be read, or the job cannot be started.
    """
    from cellmap_tui.jobs.rundir import RunDir, read_request
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.models import from_mapping

    directory = RunDir(run.path)
    request = from_mapping(read_request(directory).values, FetchRequest, source=str(directory.request_path))
    return start_fetch(settings, request)


def start_verify(settings: Settings, ref: str, *, repair: bool) -> str:
    """Start a check of one crop against the bucket and return the name of its run.

    Raises
    ------
    CellmapError
        If the job cannot be started.
    """
    from cellmap_tui.services.verify_model import VerifyRequest

    request = VerifyRequest(
        data_root=settings.data_root,
        crops=ref,
        repair=repair,
        endpoint_url=settings.endpoint_url,
        bucket=settings.bucket,
        state_dir=settings.state_dir,
    )
    return _start(settings, "verify", request, ("--crops", ref, *(["--repair"] if repair else [])))


def _start(settings: Settings, command: str, request: object, options: tuple[str, ...]) -> str:
    from cellmap_tui.jobs.launch import launch
    from cellmap_tui.jobs.rundir import create_run

    run = create_run(settings.runs_root, command, request, ("cellmap-tui", command, *options))
    launch(run)
    return run.run_id
