"""Run a working command: here, as a job of its own, or hand it to the app.

All three leave a run directory, so that whatever was started one way can be watched another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.cli.context import Context
    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.rundir import RunDir

WORKING_COMMANDS = frozenset(
    {
        "demo",
        "import",
        "fetch-data",
        "verify",
        "catalog",
        "evaluate",
        "batch-eval",
        "validate-submission",
        "speedtest",
        "map-labels",
        "export",
        "pack-results",
        "make-datasplit",
        "get-counts",
        "plan",
        "patches",
        "run",
        "train",
        "predict",
        "process",
        "tune",
    }
)
"""Commands that answer ``--json`` with a stream of events, whose last line is a result or an error."""

_SCREENS = {
    "fetch-data": "fetch",
    "make-datasplit": "train",
    "train": "train",
    "predict": "predict",
    "process": "predict",
    "tune": "predict",
}
"""Screen that a command is filled in on; others are offered under Runs."""

_TOLD_AT_THE_END = frozenset({"result", "error", "state"})
_CHATTER = frozenset({"progress", "note"})


def run_work(context: Context, command: str, request: object, show: Callable[[Any], None]) -> int:
    """Do what a working command was asked.

    Parameters
    ----------
    command
        Name of the command in the registry.
    request
        Its request model.
    show
        Writes the result for people.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    RequestError
        If there is neither ``--batch`` nor a terminal.
    """
    if context.detach:
        return _detach(context, command, request)
    if context.batch:
        return run_here(context, _new_run(context, command, request), command, show)
    if not context.has_terminal:
        raise RequestError(f"{command} needs a terminal to open the app on", f"add --batch to run {command} here")
    from cellmap_tui.app.app import run_app

    start = _SCREENS.get(command, "runs")
    return run_app(context.settings, start=start, options={"command": command, "request": request})


def run_here(context: Context, run: RunDir, command: str, show: Callable[[Any], None] | None) -> int:
    """Do the work of a queued run in this process and write its result."""
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.jobs.execute import execute
    from cellmap_tui.jobs.notify import make_notifier

    line = None if context.quiet or context.json else LineReporter()
    printer = _event_printer(context) if context.json else None
    try:
        with make_notifier(run, command, context.settings, with_bell=context.has_terminal) as notifier:

            def on_event(event: Event) -> None:
                notifier.on_event(event)
                if printer is not None:
                    printer(event)

            result = execute(run, line, on_event=on_event)
    finally:
        if line is not None:
            line.close()
    if context.json:
        write_result(command, result)
    elif show is not None:
        show(result)
    exit_code = getattr(result, "exit_code", diagnostics.DONE)
    return exit_code if isinstance(exit_code, int) else diagnostics.DONE


def write_result(command: str, value: object) -> None:
    """Write the last line of an event stream."""
    from cellmap_tui.services.models import to_builtins

    output.write_event("result", command=command, value=to_builtins(value))


def start_job(context: Context, run: RunDir, command: str) -> int:
    """Start the job of a queued run and say where it is."""
    from cellmap_tui.jobs.launch import launch

    pid = launch(run)
    if context.json:
        write_result(command, {"run_id": run.run_id, "run_dir": str(run.path), "pid": pid})
    else:
        output.write(f"{run.run_id}")
        diagnostics.note(f"started as process {pid}; watch it with: cellmap-tui runs follow {run.run_id}")
    return diagnostics.DONE


def _detach(context: Context, command: str, request: object) -> int:
    return start_job(context, _new_run(context, command, request), command)


def _new_run(context: Context, command: str, request: object) -> RunDir:
    from cellmap_tui.jobs.rundir import create_run
    from cellmap_tui.services.settings import checked_runs_root

    return create_run(checked_runs_root(context.settings), command, request, ["cellmap-tui", *context.argv])


def _event_printer(context: Context) -> Callable[[Event], None]:
    """Return what writes events as they come; how the work ended is written once, last."""

    def write(event: Event) -> None:
        if event.kind in _TOLD_AT_THE_END and event.fields.get("state") in {None, "done", "stopped", "failed"}:
            return
        if not (context.quiet and event.kind in _CHATTER):
            output.write_event(event.kind, time_s=event.time_s, **event.fields)

    return write
