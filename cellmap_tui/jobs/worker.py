"""The job process: ``python -m cellmap_tui.jobs.worker RUN_DIR``, started by `launch`."""

from __future__ import annotations

import faulthandler
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.jobs.rundir import RunDir
from cellmap_tui.services.registry import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.services.registry import Command


def main(run_path: str, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Do the work of the run directory and return the exit code; what went wrong stands in the directory."""
    from cellmap_tui.jobs.execute import execute
    from cellmap_tui.jobs.notify import notifier_of

    _settle()
    run = RunDir(Path(run_path))
    try:
        with notifier_of(run) as notifier:
            result = execute(run, on_event=notifier.on_event, commands=commands)
    except CellmapError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - stderr is log.txt
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - recorded with its traceback by `execute`
        print(repr(error), file=sys.stderr, flush=True)  # noqa: T201 - when not even the recording was possible
        return 1
    exit_code = getattr(result, "exit_code", 0)
    return exit_code if isinstance(exit_code, int) else 0


def _settle() -> None:
    # A crash below Python leaves its stack in log.txt.
    faulthandler.enable()
    if hasattr(signal, "SIGHUP"):
        # The new session has no terminal that could hang up; a stray SIGHUP shall not end the work either.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The launcher may be a thread that blocks signals, and the mask is inherited.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cellmap_tui.jobs.worker RUN_DIR")
    sys.exit(main(sys.argv[1]))
