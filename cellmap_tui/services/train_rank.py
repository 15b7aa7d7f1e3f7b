"""One of several training processes: ``torchrun -m cellmap_tui.services.train_rank REQUEST``."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.train_ranks import SOCKET_VARIABLE, Link, LinkReporter

if TYPE_CHECKING:
    from cellmap_tui.learning.train_listener import TrainOutcome
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest


def main(path: str) -> int:
    """Train as this process' part; the first one tells the job."""
    from cellmap_tui.services.models import from_json
    from cellmap_tui.services.train_model import TrainRequest

    request: TrainRequest = from_json(Path(path).read_bytes(), TrainRequest, source=path)
    if os.environ.get("RANK", "0") != "0":
        return _other(request)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[SOCKET_VARIABLE])
    link = Link(connection)
    folder = request.folder or Path.cwd()
    try:
        outcome = _train(request, LinkReporter(link, folder))
    except CellmapError as error:
        link.send(do="ended", kind=error.kind, message=error.message, remedy=error.remedy)
        return 0 if error.kind == "stopped" else error.exit_code
    except Exception as error:  # noqa: BLE001 - the job tells it; the traceback is in its log
        traceback.print_exc()
        link.send(do="ended", kind="bug", message=f"a bug: {error!r}", remedy="the traceback is in the run's log.txt")
        return 1
    from cellmap_tui.services.models import to_builtins

    link.send(do="ended", outcome=to_builtins(outcome))
    return 0


def _other(request: TrainRequest) -> int:
    try:
        _train(request, SilentReporter())
    except CellmapError as error:
        print(error, file=sys.stderr)  # noqa: T201 - stderr is the run's log
        return 0 if error.kind == "stopped" else error.exit_code
    return 0


def _train(request: TrainRequest, report: Reporter) -> TrainOutcome:
    from cellmap_tui.services.train import open_training_bank
    from cellmap_tui.services.train_here import train_here
    from cellmap_tui.services.train_prepare import prepare, python_objects

    assert request.folder is not None
    prepared = prepare(request, request.folder, SilentReporter())
    bank = open_training_bank(prepared, request, SilentReporter())
    return train_here(prepared, bank, request, report, python_objects(prepared))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
