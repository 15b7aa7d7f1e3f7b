"""Where a run stands, in one glance: from its small files and the end of its log.

The cost does not grow with the run, so that a list of a thousand is quick.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.jobs.control import PAUSE_ASKED, RESUME_ASKED, pending_requests
from cellmap_tui.jobs.death import memory_death
from cellmap_tui.jobs.events import END_STATES, FORMAT_VERSION, Event, decode_lines
from cellmap_tui.jobs.files import integer_or_none, number_or_none, text_or_none
from cellmap_tui.jobs.liveness import Pulse, Sign, judged_state
from cellmap_tui.jobs.rundir import RunDir, RunRequest, read_request
from cellmap_tui.jobs.state import RunState, read_state
from cellmap_tui.jobs.tail import CHUNK_BYTES, LineTail, read_last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.jobs.recorder import Clock

TAIL_BYTES = 16 * 1024
"""What a summary reads of the event log; more while that holds no whole event."""

RATE_WINDOW_S = 60.0
"""Rates are taken over the progress of this last time."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Where a run stands; None is "not known"."""

    run_id: str
    """Name of the run and of its directory."""
    path: Path
    """The run directory."""
    command: str
    """Name of the command."""
    state: str
    """``queued``, ``running``, ``paused``, ``stopping``, ``stopped``, ``done``, ``failed``; ``quiet`` when the job
    has been silent for 30 s, ``lost`` when it died without a word, ``unreadable`` when there is nothing to read."""
    created_s: float | None = None
    """When it was first asked for, Unix seconds."""
    started_s: float | None = None
    """When the job last began to work, Unix seconds."""
    ended_s: float | None = None
    """When it ended, Unix seconds; for a lost run its last sign of life."""
    silent_s: float | None = None
    """How long ago the last sign of life is; None for a run that ended."""
    host: str | None = None
    """Name of the host it runs on."""
    pid: int | None = None
    """Process id of the job on that host."""
    done: float | None = None
    """How much is done."""
    total: float | None = None
    """Of how much."""
    unit: str | None = None
    """In which unit."""
    rate: float | None = None
    """Units a second over the last minute of a running job."""
    eta_s: float | None = None
    """Seconds left at that rate."""
    message: str | None = None
    """The last thing it said: note, warning or error."""
    remedy: str | None = None
    """What to do about the error it ended with."""
    exit_code: int | None = None
    """Exit code, once ended."""
    by: str | None = None
    """Who asked for its present state."""
    is_pausing: bool = False
    """Whether it was asked to pause and has not come to it yet."""
    arguments: tuple[str, ...] = ()
    """Command line it was started with."""
    version: str | None = None
    """Version of cellmap-tui that wrote it."""
    is_newer: bool = False
    """Whether it was written in a newer format than this version knows; what is understood is shown."""
    problem: str | None = None
    """What of the directory cannot be read, and why."""
    size_bytes: int | None = None
    """Size of the directory, where it was asked for."""

    @property
    def is_live(self) -> bool:
        """Whether a job works on it, or is believed to."""
        return self.state not in {*END_STATES, "lost", "unreadable"}


def summarise(run: RunDir, pulse: Pulse | None = None, clock: Clock = time) -> RunSummary:
    """Return where a run stands, from its small files and the end of its log.

    Parameters
    ----------
    pulse
        What earlier looks at the same run saw; makes a wrong clock on the job's side harmless.

    Raises
    ------
    MissingDataError
        If there is no such directory.
    """
    if not run.path.is_dir():
        raise MissingDataError(
            f"run directory {run.path} does not exist", "list the runs with `cellmap-tui runs list`"
        )
    problems: list[str] = []
    request = _request(run, problems)
    state, sign, events = _settled(run, request, pulse or Pulse(), clock, problems)
    problem = "; ".join(dict.fromkeys(problems)) or None
    if state is None:
        return RunSummary(run.run_id, run.path, _command_in(run.run_id), "unreadable", problem=problem)
    return _summary(run, request, state, sign, events, problem)


def _settled(
    run: RunDir, request: RunRequest | None, pulse: Pulse, clock: Clock, problems: list[str]
) -> tuple[RunState | None, Sign, list[Event]]:
    """Read state and lock until they belong together: a job may begin or end between the two looks."""
    while True:
        events = _last_events(run)
        state = _state(run, request, events, problems)
        sign = pulse.look(run, state, events[-1].time_s if events else None, clock)
        if state is None or state.state in END_STATES or sign.is_locked is not False:
            return state, sign, events
        again = _state(run, request, _last_events(run), [])
        if again is not None and (again.state, again.pid) == (state.state, state.pid):
            return state, sign, events


def _request(run: RunDir, problems: list[str]) -> RunRequest | None:
    try:
        return read_request(run)
    except DataError as error:
        problems.append(error.message)
        return None


def _state(run: RunDir, request: RunRequest | None, events: Sequence[Event], problems: list[str]) -> RunState | None:
    """Return the state by file or log, whichever is newer: the log is written first, and a full disk delays it."""
    stored = _stored_state(run, problems)
    logged = _last_state(events)
    if stored is None and logged is None:
        logged = _last_state(_state_events(run))
    if logged is not None and (stored is None or logged.time_s >= (stored.heartbeat_s or 0.0)):
        base = stored or RunState("", heartbeat_s=events[-1].time_s if events else logged.time_s)
        return _logged_state(base, logged)
    if stored is not None:
        return stored
    if events:
        return RunState("running", heartbeat_s=events[-1].time_s)
    return RunState("queued", heartbeat_s=request.created_s) if request else None


def _stored_state(run: RunDir, problems: list[str]) -> RunState | None:
    try:
        state = read_state(run.state_path)
    except DataError as error:
        problems.append(error.message)
        return None
    if state is None:
        problems.append(f"run {run.run_id} has no state.json")
    return state


def _logged_state(base: RunState, logged: Event) -> RunState:
    name = str(logged.fields["state"])
    is_end = name in END_STATES
    exit_code = base.exit_code if base.exit_code is not None else integer_or_none(logged.fields.get("exit_code"))
    return replace(
        base,
        state=name,
        by=text_or_none(logged.fields.get("by")),
        ended_s=(base.ended_s or logged.time_s) if is_end else None,
        exit_code=exit_code if is_end else None,
    )


def _last_events(run: RunDir) -> list[Event]:
    size = TAIL_BYTES
    while True:
        lines = read_last_lines(run.events_path, size)
        events = decode_lines(lines)
        if events or size > CHUNK_BYTES * 64 or size >= _size(run.events_path):
            return events
        size *= 4


def _state_events(run: RunDir) -> list[Event]:
    """Return what the whole log says about states; only for a run without a state.json."""
    tail, found = LineTail(run.events_path), []
    while not tail.at_end:
        events = decode_lines(tail.read())
        found += [event for event in events if event.kind in {"state", "result", "error"}]
    return found


def _last_state(events: Sequence[Event]) -> Event | None:
    """Return the last state told, an end with its exit code.

    A result or an error is an end too, if the job was killed right after writing it.
    """
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        if event.kind == "state" and isinstance(event.fields.get("state"), str):
            before = events[index - 1] if index else event
            is_end = event.fields["state"] in END_STATES and before.kind in {"result", "error"}
            return replace(event, fields={**event.fields, "exit_code": _exit_code(before)}) if is_end else event
        if event.kind == "result":
            return Event("state", event.time_s, {"state": "done", "exit_code": _exit_code(event)})
        if event.kind == "error":
            code = _exit_code(event)
            return Event("state", event.time_s, {"state": "stopped" if code == 130 else "failed", "exit_code": code})
    return None


def _exit_code(end: Event) -> int | None:
    """Return the exit code of a result, which may carry its own, or of an error."""
    if end.kind == "error":
        return integer_or_none(end.fields.get("exit_code"))
    value = end.fields.get("value")
    code = integer_or_none(value.get("exit_code")) if isinstance(value, dict) else None
    return code if code is not None else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _summary(
    run: RunDir,
    request: RunRequest | None,
    state: RunState,
    sign: Sign,
    events: Sequence[Event],
    problem: str | None,
) -> RunSummary:
    shown = judged_state(state.state, sign)
    if shown == "lost" and state.state == "queued" and run.cluster_path.exists():
        shown = "queued"  # a cluster's queue may take days
    progress = _progress(events)
    latest = progress[-1] if progress else None
    done = number_or_none(latest.fields.get("done")) if latest else None
    total = number_or_none(latest.fields.get("total")) if latest else None
    rate = _rate(progress) if shown == "running" else None
    said = next((e for e in reversed(_present(events)) if e.kind in {"note", "warning", "error"}), None)
    death = memory_death(run) if shown == "lost" else None
    is_over = shown in {*END_STATES, "lost"}
    versions = [request.version if request else 0, state.version, *(e.version for e in events)]
    return RunSummary(
        run_id=run.run_id,
        path=run.path,
        command=request.command if request else _command_in(run.run_id),
        state=shown,
        created_s=(request.created_s if request else None) or state.created_s,
        started_s=state.started_s,
        ended_s=(sign.last_s if shown == "lost" else state.ended_s) if is_over else None,
        silent_s=None if shown in END_STATES else sign.silent_s,
        host=state.host,
        pid=state.pid,
        done=done,
        total=total,
        unit=text_or_none(latest.fields.get("unit")) if latest else None,
        rate=rate,
        eta_s=(total - done) / rate if rate and total is not None and done is not None else None,
        message=death.message if death else text_or_none(said.fields.get("message")) if said else None,
        remedy=death.remedy if death else text_or_none(said.fields.get("remedy")) if said else None,
        exit_code=state.exit_code if is_over else None,
        by=state.by,
        is_pausing=shown in {"queued", "running", "quiet"} and _is_pausing(run, events),
        arguments=request.arguments if request else (),
        version=request.tool_version if request else None,
        is_newer=max(versions) > FORMAT_VERSION,
        problem=problem,
    )


def _present(events: Sequence[Event]) -> Sequence[Event]:
    """Return the events of the present attempt: what an earlier one ended with is not said of this one."""
    for index in range(len(events) - 1, -1, -1):
        if events[index].kind == "state" and events[index].fields.get("state") == "queued":
            return events[index:]
    return events


def _is_pausing(run: RunDir, events: Sequence[Event]) -> bool:
    """Return whether a pause was asked after which the job has said nothing of pausing or going on."""
    asked = [action for action in pending_requests(run) if action in {"pause", "resume"}]
    if asked:
        return asked[-1] == "pause"
    for event in reversed(events):
        message = event.fields.get("message")
        if event.kind == "state" or (event.kind == "note" and str(message).startswith(RESUME_ASKED)):
            return False
        if event.kind == "note" and str(message).startswith(PAUSE_ASKED):
            return True
    return False


def _progress(events: Sequence[Event]) -> list[Event]:
    """Return the progress of the present attempt that counts in the latest unit and total."""
    found: list[Event] = []
    for event in reversed(events):
        if event.kind == "state" and event.fields.get("state") in {"queued", "running", "paused"} and found:
            break
        if event.kind == "progress":
            if found and any(event.fields.get(key) != found[-1].fields.get(key) for key in ("unit", "total")):
                break
            found.append(event)
    return found[::-1]


def _rate(progress: Sequence[Event]) -> float | None:
    recent = [e for e in progress if e.time_s >= progress[-1].time_s - RATE_WINDOW_S] if progress else []
    if len(recent) < 2:
        return None
    first, last = number_or_none(recent[0].fields.get("done")), number_or_none(recent[-1].fields.get("done"))
    elapsed_s = recent[-1].time_s - recent[0].time_s
    if first is None or last is None or elapsed_s <= 0 or last <= first:
        return None
    return (last - first) / elapsed_s


def _command_in(run_id: str) -> str:
    """Return the command that a directory's name tells."""
    _, _, rest = run_id.partition("-")
    return rest.rpartition("-")[0] or "unknown"
