"""The reporter of a job: what the service says becomes the run directory's event log and state.

It also listens: requests in ``control/`` and signals are obeyed at the service's next checkpoint.
A thread keeps the heartbeat and the latest figures fresh while the service is busy.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from cellmap_tui.errors import DataError, Stopped
from cellmap_tui.jobs.control import Inbox
from cellmap_tui.jobs.events import END_STATES, Event, EventLog
from cellmap_tui.jobs.files import clean_text
from cellmap_tui.jobs.metrics import MetricWindows
from cellmap_tui.jobs.process import host_name, process_token
from cellmap_tui.jobs.rundir import resume_command
from cellmap_tui.jobs.state import RunState, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.report import Ask

HEARTBEAT_S = 5.0
PROGRESS_INTERVAL_S = 0.25
NEW_PROGRESS_INTERVAL_S = 0.02
"""The end of a count and the start of another are told sooner, but many short ones do not fill the log."""
LOOK_INTERVAL_S = 0.2
"""How often ``control/`` is listed, at most; a listing on a network disk costs about a millisecond."""


CLOSED_OUTPUT = "closed output"
"""Who asked for a stop when nobody reads the output of a command any more."""


class Clock(Protocol):
    """What the module `time` offers; tests bring their own."""

    def time(self) -> float:
        """Return Unix seconds."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class RunReporter:
    """Reports into a run directory; only for the process that holds its lock.

    Parameters
    ----------
    run
        The run directory.
    on_event
        Called with every event as it is written, from whichever thread writes it. What it raises
        ends its being called; a closed pipe also asks the job to stop.
    clock
        In place of the module `time`.
    """

    def __init__(self, run: RunDir, on_event: Callable[[Event], None] | None = None, clock: Clock = time) -> None:
        self._run = run
        self._listener = on_event
        self._clock = clock
        self._guard = threading.RLock()
        self._log = EventLog(run.events_path)
        self._metrics = MetricWindows()
        self._progress: dict[str, object] | None = None
        self._progress_written_s = float("-inf")
        self._progress_kind: tuple[object, object] | None = None
        self._looked_s = float("-inf")
        self._beat_s = float("-inf")
        self._inbox = Inbox(run)
        self._told_waiting = False
        self._state = _initial_state()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what a service says ------------------------------------------------------------------

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Record how much is done: at most four times a second, the last always."""
        with self._guard:
            self._progress = {"done": _number(done), "total": None if total is None else _number(total), "unit": unit}
            kind = (self._progress["total"], unit)
            is_new = kind != self._progress_kind or self._progress["done"] == self._progress["total"]
            self._progress_kind = kind
            interval_s = NEW_PROGRESS_INTERVAL_S if is_new else PROGRESS_INTERVAL_S
            if self._clock.monotonic() - self._progress_written_s >= interval_s:
                self._write_progress()

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Record measured values: gathered, written at most twice a second."""
        with self._guard:
            self._metrics.add(step, values, epoch)
            for fields in self._metrics.due(self._clock.monotonic()):
                self._write("metric", fields)

    def note(self, message: str) -> None:
        """Record something worth knowing."""
        self._write("note", {"message": message})

    def warning(self, message: str) -> None:
        """Record something that may need the user's attention."""
        self._write("warning", {"message": message})

    def artefact(self, path: Path, kind: str) -> None:
        """Record that a file or folder now exists."""
        self._write("artefact", {"path": str(path), "kind": kind})

    def checkpoint(self) -> None:
        """Obey what was asked: wait while paused, raise `Stopped` when stopped."""
        self._look()
        if not self._inbox.has_requests:
            return
        if self._inbox.stop_by is None:
            self._wait_while_paused()
        if self._inbox.stop_by is not None:
            self._acknowledge_stop()
            raise Stopped(f"stopped by {self._inbox.stop_by}", f"go on with `{resume_command(self._run)}`")

    # -- what a service may ask ---------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self._run.path

    def asked(self) -> tuple[Ask, ...]:
        """Return what users ask of the service itself, oldest first; each is handed out once."""
        self._look()
        with self._guard:
            return self._inbox.asks()

    # -- what the process around the service says ---------------------------------------------

    def begin(self) -> None:
        """Record that the work begins now."""
        now_s = self._now()
        self._state = replace(self._state, created_s=self._queued_s(), started_s=now_s)
        self.enter_state("running")

    def enter_state(self, state: str, by: str | None = None, exit_code: int | None = None) -> None:
        """Record a new state, in the log first and then in ``state.json``."""
        with self._guard:
            is_end = state in END_STATES
            now_s = self._now()
            if is_end:
                self.flush()
            self._state = replace(
                self._state, state=state, by=by, exit_code=exit_code, ended_s=now_s if is_end else None
            )
            self._write("state", {"state": state, "by": by})
            self._write_state(durable=is_end)

    def result(self, command: str, value: object) -> None:
        """Record the result."""
        self.flush()
        self._write("result", {"command": command, "value": value})

    def error(self, kind: str, message: str, remedy: str, exit_code: int) -> None:
        """Record why the work ended early."""
        self.flush()
        self._write("error", {"kind": kind, "message": message, "remedy": remedy, "exit_code": exit_code})

    def request_stop(self, by: str) -> None:
        """Ask for a stop at the next checkpoint. Takes no lock: a signal handler may call it."""
        if self._inbox.stop_by is None:
            self._inbox.stop_by = by

    @property
    def stop_requested_by(self) -> str | None:
        """Who asked for a stop; None when nobody did."""
        return self._inbox.stop_by

    def flush(self) -> None:
        """Write the figures that are still held back."""
        with self._guard:
            if self._progress is not None:
                self._write_progress()
            for fields in self._metrics.flush():
                self._write("metric", fields)

    def tick(self) -> None:
        """Do what is due without the service's help: look, write figures, beat."""
        with self._guard:
            now_s = self._clock.monotonic()
            if self._progress is not None and now_s - self._progress_written_s >= PROGRESS_INTERVAL_S:
                self._write_progress()
            for fields in self._metrics.due(now_s):
                self._write("metric", fields)
            self._look()
            if self._inbox.stop_by is not None:
                self._acknowledge_stop()
            if now_s - self._beat_s >= HEARTBEAT_S:
                self._log.flush()
                self._write_state()

    def __enter__(self) -> Self:
        """Start the heartbeat."""
        self._thread = threading.Thread(target=self._beat, name="cellmap-heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left and end the heartbeat."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        with self._guard:
            self.flush()
            self._log.close()
        if self._log.waiting:
            _tell(f"{self._log.waiting} events could not be written: {self._log.failure}")

    # -- inside -------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self._closing.wait(LOOK_INTERVAL_S):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - the heartbeat must outlive whatever one beat meets
                _tell(f"heartbeat: {error!r}")

    def _write(self, kind: str, fields: Mapping[str, object]) -> None:
        with self._guard:
            event = Event(kind, self._now(), fields)
            self._log.write(event)
            self._tell_of_a_full_disk()
            if self._listener is not None:
                self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        try:
            self._listener(event)  # type: ignore[misc]
        except BrokenPipeError:
            self._listener = None
            self.request_stop(CLOSED_OUTPUT)
        except Exception as error:  # noqa: BLE001 - a viewer's failure must not end the work
            self._listener = None
            _tell(f"the viewer of this run failed: {error!r}")

    def _tell_of_a_full_disk(self) -> None:
        if self._log.failure is not None and not self._told_waiting:
            self._told_waiting = True
            _tell(f"events cannot be written and wait in memory: {self._log.failure}")
        elif self._log.failure is None and self._told_waiting:
            self._told_waiting = False
            self._write("warning", {"message": f"the disk took no events for a while; {self._log.dropped} were lost"})

    def _write_progress(self) -> None:
        fields, self._progress = self._progress, None
        self._progress_written_s = self._clock.monotonic()
        if fields is not None:
            self._write("progress", fields)

    def _write_state(self, *, durable: bool = False) -> None:
        self._beat_s = self._clock.monotonic()
        self._state = replace(self._state, heartbeat_s=self._now())
        try:
            write_state(self._run.state_path, self._state, durable=durable)
        except OSError as error:
            # The lock and the log still tell that the job lives; the next beat tries again.
            _tell(f"state.json cannot be written: {error}")

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < LOOK_INTERVAL_S:
            return
        with self._guard:
            self._looked_s = now_s
            for kind, message in self._inbox.look():
                self._write(kind, {"message": message})

    def _acknowledge_stop(self) -> None:
        with self._guard:
            if self._state.state not in {"stopping", *END_STATES}:
                self.enter_state("stopping", self._inbox.stop_by)

    def _wait_while_paused(self) -> None:
        """Wait until somebody asks to go on; several threads of a service may wait here at once."""
        self.flush()
        self._inbox.is_paused = True
        self._leave_state("running", "paused", self._inbox.pause_by)
        while self._inbox.pause_by is not None and self._inbox.stop_by is None:
            time.sleep(LOOK_INTERVAL_S)
            self._look()
        self._inbox.is_paused = False
        if self._inbox.stop_by is None:
            self._leave_state("paused", "running", self._inbox.resume_by)

    def _leave_state(self, before: str, after: str, by: str | None) -> None:
        with self._guard:
            if self._state.state == before:
                self.enter_state(after, by)

    def _queued_s(self) -> float | None:
        try:
            before = read_state(self._run.state_path)
        except DataError:
            return None
        return before.created_s if before else None

    def _now(self) -> float:
        return round(self._clock.time(), 3)


def _initial_state() -> RunState:
    pid = os.getpid()
    leads = hasattr(os, "getsid") and os.getsid(0) == pid
    return RunState("running", pid=pid, process=process_token(pid), own_session=leads, host=host_name())


def _number(value: float) -> float:
    return value if isinstance(value, int) else float(value)


def _tell(message: str) -> None:
    # In a job stderr is log.txt; on the disk that just refused the events this may fail as well.
    with contextlib.suppress(OSError, ValueError):
        print(clean_text(message), file=sys.stderr, flush=True)  # noqa: T201 - the job's own log
