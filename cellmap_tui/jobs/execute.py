"""Do the work of a run directory in this process: the job's inside, the same detached and in place.

Every ending is written down before it is told on: done with a result, stopped, failed by a user's
error, failed by a bug.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Self

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RefusedError, Stopped
from cellmap_tui.jobs.events import FORMAT_VERSION
from cellmap_tui.jobs.files import clean_text, replace_file
from cellmap_tui.jobs.lock import RunLock
from cellmap_tui.jobs.recorder import CLOSED_OUTPUT, RunReporter
from cellmap_tui.jobs.rundir import read_request, resume_command
from cellmap_tui.jobs.state import read_state
from cellmap_tui.services.registry import COMMANDS, find_command
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from cellmap_tui.jobs.events import Event
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.registry import Command
    from cellmap_tui.services.report import Ask, Reporter

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# SIGUSR1 is what clusters are told to send before the time is up.
_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
_USERS_OS_ERRORS = {*_FULL, errno.EACCES, errno.EPERM, errno.EROFS}


def execute(
    run: RunDir,
    also: Reporter | None = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    commands: Mapping[str, Command] = COMMANDS,
) -> object:
    """Do the work of a queued run here and return its result.

    SIGINT, SIGTERM and SIGUSR1 ask for a stop at the next checkpoint; a second one stops at once.

    Parameters
    ----------
    run
        A run directory made by `rundir.create_run`.
    also
        Told everything that the service reports, at full rate, beside the run directory.
    on_event
        Called with every event that is written to the event log.
    commands
        The commands to find the service in.

    Raises
    ------
    Stopped
        If it was asked to stop; the run directory says so too.
    CellmapError
        If the work failed for a reason that a user can mend.
    Exception
        Any other is a bug; its traceback is in ``log.txt``.
    """
    if not run.path.is_dir():
        raise MissingDataError(
            f"run directory {run.path} does not exist", "list the runs with `cellmap-tui runs list`"
        )
    refuse_if_done(run)
    with RunLock(run.lock_path), RunReporter(run, on_event) as recorder, _Signals(recorder) as signals:
        try:
            recorder.begin()
            result = _work(run, FanOut(recorder, also) if also else recorder, commands)
            signals.disarm()
            _finish(run, recorder, result)
        except BaseException as error:
            signals.disarm()
            known = _explained(error, run)
            if known is None:
                _record_bug(run, recorder, error)
                raise
            _record_error(recorder, known)
            raise known from None
        return result


def refuse_if_done(run: RunDir) -> None:
    """Raise `RefusedError` if the run is done: its result stands."""
    with contextlib.suppress(DataError):
        state = read_state(run.state_path)
        if state is not None and state.state == "done":
            raise RefusedError(f"run {run.run_id} is done", "start a new run to do the work again")


class FanOut:
    """Passes every report to the run directory and to a second reporter; asks both at a checkpoint.

    When the second one's output is closed (a pipe whose reader has gone), it is dropped and the
    work is asked to stop.
    """

    def __init__(self, recorder: RunReporter, also: Reporter) -> None:
        self._recorder = recorder
        self._also = also

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Tell both."""
        self._recorder.progress(done, total, unit)
        with self._unless_closed():
            self._also.progress(done, total, unit)

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Tell both."""
        self._recorder.metric(step, values, epoch)
        with self._unless_closed():
            self._also.metric(step, values, epoch)

    def note(self, message: str) -> None:
        """Tell both."""
        self._recorder.note(message)
        with self._unless_closed():
            self._also.note(message)

    def warning(self, message: str) -> None:
        """Tell both."""
        self._recorder.warning(message)
        with self._unless_closed():
            self._also.warning(message)

    def artefact(self, path: Path, kind: str) -> None:
        """Tell both."""
        self._recorder.artefact(path, kind)
        with self._unless_closed():
            self._also.artefact(path, kind)

    def checkpoint(self) -> None:
        """Ask both."""
        self._recorder.checkpoint()
        with self._unless_closed():
            self._also.checkpoint()

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self._recorder.folder

    def asked(self) -> tuple[Ask, ...]:
        """Return what users ask of the service itself."""
        return self._recorder.asked()

    @contextlib.contextmanager
    def _unless_closed(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._also = SilentReporter()
            self._recorder.request_stop(CLOSED_OUTPUT)


class _Signals:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a stop at the next checkpoint, a second one into an immediate end."""

    def __init__(self, recorder: RunReporter) -> None:
        self._recorder = recorder
        self._pid = os.getpid()
        self._is_armed = True
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; elsewhere (a notebook's worker) control files still work.
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def disarm(self) -> None:
        """Let nothing interrupt the writing of the end."""
        self._is_armed = False

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A forked child, such as a data loader's worker, has this handler too: it shall just die.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == getattr(signal, "SIGUSR1", None):
            # A queue may send it to the script and to the process, and a script passes it on: once is enough.
            self._recorder.request_stop("SIGUSR1")
        elif self._is_armed and self._recorder.stop_requested_by is not None:
            # A third one, when the work is stuck below Python, ends the process outright.
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        elif self._is_armed:
            self._recorder.request_stop(signal.Signals(number).name)


def _work(run: RunDir, reporter: Reporter, commands: Mapping[str, Command]) -> object:
    from cellmap_tui.services.models import from_mapping

    asked = read_request(run)
    command = find_command(asked.command, commands)
    request = from_mapping(asked.values, command.request_model(), source=f"{run.request_path} (request)")
    return command.function()(request, reporter)


def _finish(run: RunDir, recorder: RunReporter, result: object) -> None:
    import msgspec

    from cellmap_tui.services.models import to_builtins

    command, value = read_request(run).command, to_builtins(result)
    exit_code = getattr(result, "exit_code", 0)
    document = {"v": FORMAT_VERSION, "command": command, "value": value}
    replace_file(run.result_path, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n", durable=True)
    recorder.result(command, value)
    recorder.enter_state("done", exit_code=exit_code if isinstance(exit_code, int) else 0)


def _explained(error: BaseException, run: RunDir) -> CellmapError | None:
    """Return what a user can be told about the error, or None when it is a bug."""
    again = f"then go on with `{resume_command(run)}`"
    if isinstance(error, CellmapError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Stopped("stopped at once, without finishing the step", f"go on with `{resume_command(run)}`")
    if isinstance(error, MemoryError):
        return CellmapError("out of memory", f"close other programs or ask for less at a time, {again}")
    if isinstance(error, OSError) and error.errno in _USERS_OS_ERRORS:
        where = f": {error.filename}" if error.filename else ""
        is_full = error.errno in _FULL
        return CellmapError(f"{error.strerror}{where}", f"{'free some space' if is_full else 'mend it'}, {again}")
    return None


def _record_error(recorder: RunReporter, error: CellmapError) -> None:
    if isinstance(error, Stopped):
        by = recorder.stop_requested_by
        recorder.error(error.kind, error.message, error.remedy, error.exit_code)
        recorder.enter_state("stopped", by, exit_code=error.exit_code)
        return
    recorder.error(error.kind, error.message, error.remedy, error.exit_code)
    recorder.enter_state("failed", exit_code=error.exit_code)


def _record_bug(run: RunDir, recorder: RunReporter, error: BaseException) -> None:
    lines = "".join(traceback.format_exception(error))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        with run.log_path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{stamp} {lines}")
    except OSError:
        sys.stderr.write(clean_text(lines))
    summary = "".join(traceback.format_exception_only(error)).strip()
    recorder.error("bug", f"a bug: {summary}", f"the traceback is in {run.log_path}; please report it", 1)
    recorder.enter_state("failed", exit_code=1)
