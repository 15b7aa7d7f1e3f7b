"""Tasks on worker processes within a memory budget: the largest first, never two that do not fit.

A worker that dies takes only its task with it; that task is tried once more with the machine to
itself. Owns processes and memory; what a task is, it does not know.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

WORKER_BYTES = 200_000_000
"""What a worker takes before its first task: the interpreter and the label libraries (measured: 150-180 MB)."""
LOOK_S = 0.1
GRACE_S = 10.0
"""How long tasks at hand may go on when the user asks to stop."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""One thread a worker, unless the user says otherwise: the pool has a worker a processor."""

How = Literal["done", "error", "memory", "bug", "died"]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do."""

    key: str
    """Its name, unique in its pool."""
    payload: object
    """What the function gets; can be pickled."""
    memory_bytes: int
    """What it takes at most, beside the worker itself."""
    work: float
    """How long it takes, in any unit; the longest goes first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended."""

    task: Task
    """The task."""
    how: How
    """``done``; ``error``: of the user's making; ``memory``, ``died``: too large, or killed; ``bug``."""
    value: Any = None
    """What the function returned, or what is known of the error."""
    elapsed_s: float = 0.0
    """How long it took."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    task: Task | None = None
    since_s: float = 0.0


@dataclass(slots=True)
class WorkerPool:
    """Runs tasks in worker processes; a context manager that leaves no process behind.

    Parameters
    ----------
    target
        ``module:function`` called as ``function(payload, tell)``; ``tell(done)`` reports how far it is.
    workers
        Processes at most.
    budget_bytes
        Memory of all workers together.
    """

    target: str
    workers: int
    budget_bytes: int
    progress: dict[str, float] = field(default_factory=dict)
    """How far each running task says it is."""
    _idle: list[_Worker] = field(default_factory=list)
    _busy: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._idle, *self._busy]:
            _end(worker)

    def run(self, tasks: list[Task], between: Callable[[], None]) -> Iterator[Outcome]:
        """Yield the outcomes as tasks finish.

        Parameters
        ----------
        tasks
            What to do; each must fit the budget alone.
        between
            Called several times a second; may raise to stop, after which no task is started.
        """
        waiting = sorted(tasks, key=lambda task: (task.memory_bytes, task.work), reverse=True)
        alone: list[Task] = []
        while waiting or alone or self._busy:
            between()
            self._start_what_fits(waiting)
            if not self._busy and alone:
                self._start(alone.pop(0))
            for outcome in self._finished(LOOK_S):
                if outcome.how == "died" and outcome.value is None:
                    alone.append(outcome.task)
                else:
                    yield outcome

    def drain(self) -> Iterator[Outcome]:
        """Yield the outcomes of tasks at hand that finish within a grace period; the others are ended."""
        deadline_s = time.monotonic() + GRACE_S
        while self._busy and time.monotonic() < deadline_s:
            yield from self._finished(LOOK_S)

    def _start_what_fits(self, waiting: list[Task]) -> None:
        for task in list(waiting):
            if len(self._busy) >= self.workers:
                return
            if not self._busy or self._used_bytes() + task.memory_bytes <= self.budget_bytes:
                waiting.remove(task)
                self._start(task)

    def _used_bytes(self) -> int:
        """Return what is taken once one more worker is at work."""
        running = sum(worker.task.memory_bytes for worker in self._busy if worker.task)
        return running + WORKER_BYTES * (len(self._busy) + max(len(self._idle), 1))

    def _start(self, task: Task) -> None:
        worker = self._living_idle() or _new_worker()
        worker.task, worker.since_s = task, time.monotonic()
        self._busy.append(worker)
        with contextlib.suppress(OSError):  # it has just died; waiting for its answer finds out
            worker.connection.send((self.target, task.payload))

    def _living_idle(self) -> _Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            _end(worker)
        return None

    def _finished(self, timeout_s: float) -> Iterator[Outcome]:
        from multiprocessing.connection import wait

        by_connection: dict[object, _Worker] = {worker.connection: worker for worker in self._busy}
        for ready in wait(list(by_connection), timeout_s) if by_connection else ():  # type: ignore[arg-type]
            outcome = self._receive(by_connection[ready])
            if outcome is not None:
                yield outcome

    def _receive(self, worker: _Worker) -> Outcome | None:
        task = worker.task
        assert task is not None  # only busy workers are asked
        try:
            how, value, held_bytes = worker.connection.recv()
        except (EOFError, OSError):
            return self._died(worker, task)
        if how == "progress":
            self.progress[task.key] = value
            return None
        elapsed_s = time.monotonic() - worker.since_s
        self._release(worker, keep=held_bytes < 2 * WORKER_BYTES)
        return Outcome(task, how, value, elapsed_s)

    def _died(self, worker: _Worker, task: Task) -> Outcome:
        """Let a dead worker go; the second death of a task, alone on the machine, is the last."""
        elapsed_s = time.monotonic() - worker.since_s
        was_alone = len(self._busy) == 1
        self._release(worker, keep=False)
        code = worker.process.returncode
        words = f"its process was killed by signal {-code}" if code and code < 0 else f"its process ended with {code}"
        return Outcome(task, "died", words if was_alone else None, elapsed_s)

    def _release(self, worker: _Worker, *, keep: bool) -> None:
        self._busy.remove(worker)
        if worker.task is not None:
            self.progress.pop(worker.task.key, None)
        worker.task = None
        if keep:
            self._idle.append(worker)
        else:
            _end(worker)


def _new_worker() -> _Worker:
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    environ = {**os.environ, **{name: os.environ.get(name, "1") for name in _THREADS}}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "cellmap_tui.services.evaluate_worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environ,
        )
    return _Worker(process, ours)


def _end(worker: _Worker) -> None:
    worker.connection.close()
    if worker.process.poll() is None and worker.task is not None:
        worker.process.kill()
    try:
        worker.process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()
