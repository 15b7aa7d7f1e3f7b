"""A training in several processes of this machine: `torchrun` starts them, the first one reports to this one.

They are in a session of their own, so that a signal to the job reaches the job alone: it asks, they finish
their step, write a checkpoint and end. When the job itself is killed they find its socket closed and do the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui import errors
from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.report import asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cellmap_tui.learning.train_listener import TrainOutcome
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import Prepared

SOCKET_VARIABLE = "CELLMAP_TUI_RANK_SOCKET"
START_S = 600.0
"""Imports from a cold network disk on every process."""
END_S = 60.0
"""For the processes to leave once the first has said how it ended."""
_POLL_S = 0.2


def train_on_several(prepared: Prepared, request: TrainRequest, report: Reporter) -> TrainOutcome:
    """Train in ``devices`` processes; raises as `learning.train_loop.train`."""
    request = replace(request, folder=prepared.folder, trust=True)
    with tempfile.TemporaryDirectory(prefix="cellmap-tui-") as place, _listening(Path(place)) as server:
        process = _start(prepared, request, Path(place))
        try:
            with _accepted(server, process, report, prepared) as link:
                told = _served(link, report)
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            told = told or {}
        finally:
            _end(process)
    return _outcome(told, process.returncode, prepared)


class Link:
    """Whole lines of JSON over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")

    def send(self, **fields: Any) -> None:
        """Send a message."""
        self._connection.sendall(json.dumps(fields).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Wait for a message; None: the other end is gone."""
        try:
            line = self._stream.readline()
        except OSError:
            return None
        return json.loads(line) if line.endswith(b"\n") else None


class LinkReporter:
    """Reports to the job over a link; for the first of several processes."""

    def __init__(self, link: Link, folder: Path) -> None:
        self._link = link
        self.folder = folder

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass it on."""
        self._tell("progress", done, total, unit)

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Pass it on."""
        self._tell("metric", step, {name: float(value) for name, value in values.items()}, epoch)

    def note(self, message: str) -> None:
        """Pass it on."""
        self._tell("note", message)

    def warning(self, message: str) -> None:
        """Pass it on."""
        self._tell("warning", message)

    def artefact(self, path: Path, kind: str) -> None:
        """Pass it on."""
        self._tell("artefact", str(path), kind)

    def checkpoint(self) -> None:
        """Ask the job; wait while it is paused."""
        answer = self._asked("checkpoint")
        if answer.get("stop"):
            raise Stopped(answer["message"], answer.get("remedy", ""))

    def asked(self) -> tuple[Any, ...]:
        """Return what users asked."""
        from cellmap_tui.services.report import Ask

        return tuple(Ask(*one) for one in self._asked("asked").get("asks", ()))

    def _tell(self, what: str, *values: Any) -> None:
        with contextlib.suppress(OSError):  # the job is gone; the next checkpoint says so
            self._link.send(do=what, values=values)

    def _asked(self, what: str) -> dict[str, Any]:
        try:
            self._link.send(do=what)
            answer = self._link.receive()
        except OSError:
            answer = None
        if answer is None:
            raise Stopped("stopped: the job that started this process is gone", "resume the run")
        return answer


@contextlib.contextmanager
def _listening(place: Path) -> Iterator[socket.socket]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place / "job"))
    server.listen(1)
    server.settimeout(_POLL_S)
    try:
        yield server
    finally:
        server.close()


def _start(prepared: Prepared, request: TrainRequest, place: Path) -> subprocess.Popen[bytes]:
    from cellmap_tui.services.models import to_json

    (place / "request.json").write_bytes(to_json(request))
    command = [
        *(sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(prepared.config.devices)),
        *("-m", "cellmap_tui.services.train_rank", str(place / "request.json")),
    ]
    with (prepared.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, SOCKET_VARIABLE: str(place / "job"), "PYTHONUNBUFFERED": "1"},
        )


@contextlib.contextmanager
def _accepted(
    server: socket.socket, process: subprocess.Popen[bytes], report: Reporter, prepared: Prepared
) -> Iterator[Link]:
    deadline_s = time.monotonic() + START_S
    while True:
        report.checkpoint()
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            break
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise _died(process.returncode, prepared)
    connection.settimeout(None)
    with connection:
        yield Link(connection)


def _served(link: Link, report: Reporter) -> dict[str, Any] | None:
    """Do what the first process says until it says how it ended; None: it died without a word."""
    stopped: Stopped | None = None
    while (message := link.receive()) is not None:
        what, values = message["do"], message.get("values", ())
        if what == "ended":
            if stopped is not None and message.get("kind") == "stopped":
                raise stopped
            return message
        if what == "asked":
            link.send(asks=[(ask.action, ask.by, ask.value) for ask in asked(report)])
        elif what == "checkpoint":
            try:
                report.checkpoint()
            except Stopped as error:
                stopped = error
                link.send(stop=True, message=error.message, remedy=error.remedy)
            else:
                link.send(stop=False)
        elif what == "artefact":
            report.artefact(Path(values[0]), values[1])
        else:
            getattr(report, what)(*values)
    if stopped is not None:
        raise stopped
    return None


def _outcome(told: dict[str, Any] | None, code: int | None, prepared: Prepared) -> TrainOutcome:
    from cellmap_tui.learning.train_listener import TrainOutcome

    if told is None:
        raise _died(code, prepared)
    if "outcome" in told:
        fields = told["outcome"]
        paths = {name: Path(fields[name]) if fields[name] else None for name in ("last", "best")}
        return TrainOutcome(**{**fields, **paths})
    known = (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CellmapError))
    kind = {kind.kind: kind for kind in known}.get(told.get("kind", ""), CellmapError)
    raise kind(told.get("message", "training failed"), told.get("remedy", ""))


def _died(code: int | None, prepared: Prepared) -> CellmapError:
    how = f"ended with code {code}" if code is not None and code >= 0 else "was killed or did not start"
    return CellmapError(
        f"one of the {prepared.config.devices} training processes {how}",
        f"its output is in {prepared.folder / 'log.txt'}; then go on from the last checkpoint: resume the run",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the processes."""
    for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
