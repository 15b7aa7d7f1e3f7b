"""`run`: several commands as one plan that can be killed and continued.

A step is skipped where its options, the files and folders it names and what it made are as they were when
it ended. Everything else runs, in order; what a killed step left is continued by the command itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, RefusedError, Stopped, UnknownNameError
from cellmap_tui.services.journey_file import read_journey, request_of
from cellmap_tui.services.journey_model import JourneyRequest, JourneyResult, JourneyStep, StepResult
from cellmap_tui.services.journey_places import overlap, places_of, signature
from cellmap_tui.services.journey_state import (
    JourneyState,
    begun,
    finished,
    is_own,
    only_runner,
    options_hash,
    read_state,
    signed_anew,
    state_file,
    unchanged_places,
    write_state,
)
from cellmap_tui.services.registry import find_command
from cellmap_tui.services.report import Ask, asked
from cellmap_tui.text import duration, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellmap_tui.services.report import Reporter


def plan_journey(request: JourneyRequest) -> tuple[StepResult, ...]:
    """Return each step with what `run_journey` would do with it and why; nothing is carried out."""
    steps = _steps(request)
    state = read_state(state_file(_plan(request)))
    rows: list[StepResult] = []
    for step in steps:
        words = _why(step, state, request)
        kept = state.done.get(step.name)
        done = not words and kept is not None
        rows.append(
            StepResult(
                step.name,
                step.command,
                "skipped" if done else "waiting",
                "done; options and inputs are unchanged" if done else words,
                result=kept.result if kept is not None and done else {},
            )
        )
    return tuple(rows)


def run_journey(request: JourneyRequest, report: Reporter) -> JourneyResult:
    """Carry out a plan file.

    Raises
    ------
    CellmapError
        Of the step that failed, with its name; the steps before it stay done.
    RefusedError
        If another process carries out the same plan.
    Stopped
        When the user asked to stop; the next call goes on.
    """
    started = time.monotonic()
    plan = _plan(request)
    if request.dry_run:
        return JourneyResult(plan, plan_journey(request), state_file(plan), _since(started), dry_run=True)
    steps = _steps(request)
    rows: list[StepResult] = []
    with only_runner(plan):
        walk = _Walk(request, steps, report)
        for step in steps:
            report.checkpoint()
            rows.append(walk.take(step))
            if step.name == request.until:
                break
    late = [StepResult(step.name, step.command, "waiting", f"after {request.until!r}") for step in steps[len(rows) :]]
    return JourneyResult(plan, (*rows, *late), state_file(plan), _since(started))


class _Walk:
    """Takes the steps of one plan in order and keeps its state file."""

    def __init__(self, request: JourneyRequest, steps: tuple[JourneyStep, ...], report: Reporter) -> None:
        self._request = request
        self._steps = steps
        self._report = report
        self._file = state_file(_plan(request))
        self._state = read_state(self._file)

    def take(self, step: JourneyStep) -> StepResult:
        """Skip a step that is done, carry out any other."""
        number = f"step {self._steps.index(step) + 1} of {len(self._steps)}, {step.name}"
        words = _why(step, self._state, self._request)
        if not words:
            self._report.note(f"{number}: done already; options and inputs are unchanged")
            kept = self._state.done[step.name]
            return StepResult(
                step.name, step.command, "skipped", "done; options and inputs are unchanged", result=kept.result
            )
        self._report.note(f"{number}: {words}")
        started = time.monotonic()
        self._carry_out(step)
        self._report.note(f"{number}: done in {duration(time.monotonic() - started)}")
        kept = self._state.done[step.name]
        return StepResult(step.name, step.command, "done", words, _since(started), kept.result)

    def _carry_out(self, step: JourneyStep) -> None:
        request = request_of(step, _results(self._state))
        before = self._state
        shared = self._shared_places(step, places_of(request))
        self._keep(begun(before, step.name, request))
        listener = _StepReporter(self._report, step.name, self._remember_making)
        try:
            result = find_command(step.command).function()(_replacing_own(request, before, step), listener)
        except RefusedError as error:
            self._keep(before)
            raise _failed(step, error) from error
        except Stopped:
            raise
        except CellmapError as error:
            raise _failed(step, error) from error
        code = getattr(result, "exit_code", 0)
        if isinstance(code, int) and code:
            raise CellmapError(
                f"step {step.name!r} ({step.command}) ended with findings (exit code {code})",
                "its events and result name them; mend them and run the plan again: steps that are done are skipped",
            )
        state = finished(self._state, step.name, step.command, request, listener.artefacts, result)
        for name, places in shared.items():
            state = signed_anew(state, name, places)
        self._keep(state)

    def _shared_places(self, last: JourneyStep, touched: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
        """Return unchanged places of done steps where a step is about to work: its changes are the plan's own."""
        found: dict[str, dict[str, Path]] = {}
        for step in self._steps:
            if step.name == last.name or step.name not in self._state.done:
                continue
            places = unchanged_places(self._state.done[step.name], request_of(step, _results(self._state)))
            shared = {key: place for key, place in places.items() if any(overlap(place, t) for t in touched.values())}
            if shared:
                found[step.name] = shared
        return found

    def _remember_making(self) -> None:
        if not self._state.running_made:
            self._keep(replace(self._state, running_made=True))

    def _keep(self, state: JourneyState) -> None:
        self._state = state
        write_state(self._file, state)


class _StepReporter:
    """Passes on what a step says under the step's name, and remembers what it made."""

    def __init__(self, report: Reporter, name: str, on_making: Callable[[], None]) -> None:
        self._report = report
        self._name = name
        self._on_making = on_making
        self.artefacts: list[str] = []

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass it on."""
        self._report.progress(done, total, unit)

    def metric(self, step: int, values: Mapping[str, float], epoch: int | None = None) -> None:
        """Pass it on."""
        self._report.metric(step, values, epoch)

    def note(self, message: str) -> None:
        """Pass it on with the step's name."""
        self._report.note(f"{self._name}: {message}")

    def warning(self, message: str) -> None:
        """Pass it on with the step's name."""
        self._report.warning(f"{self._name}: {message}")

    def artefact(self, path: Path, kind: str) -> None:
        """Pass it on and remember it."""
        self._on_making()
        self.artefacts.append(str(path.absolute()))
        self._report.artefact(path, kind)

    def checkpoint(self) -> None:
        """Give the user a say."""
        self._report.checkpoint()

    def asked(self) -> tuple[Ask, ...]:
        """Hand on what was asked of the step."""
        return asked(self._report)


def _why(step: JourneyStep, state: JourneyState, asked: JourneyRequest) -> str:
    """Return why a step has to be carried out; empty: it is done."""
    done = state.done.get(step.name)
    if step.name == state.running:
        return "it did not end the last time: goes on"
    if done is None:
        return "not done yet"
    if step.name in asked.redo:
        return "asked for with redo"
    try:
        request = request_of(step, _results(state))
    except CellmapError:
        return "a result that it uses is not there"
    if options_hash(step.command, request) != done.options:
        return "its options changed"
    interrupted = [Path(place) for place in state.running_places]
    for name, place in places_of(request).items():
        if any(overlap(place, other) for other in interrupted):
            continue  # the step that was killed worked here, on behalf of this plan
        if signature(name, place) != done.places.get(name):
            return f"{name} changed: {place}"
    gone = next((path for path in done.artefacts if not Path(path).exists()), None)
    return f"what it made is gone: {gone}" if gone else ""


def _replacing_own(request: Any, state: JourneyState, step: JourneyStep) -> object:
    """Return the request, allowed to replace what this plan made before: only that is the plan's to overwrite."""
    if hasattr(request, "overwrite") and is_own(state, step.name):
        return replace(request, overwrite=True)
    return request


def _failed(step: JourneyStep, error: CellmapError) -> CellmapError:
    again = "run the plan again: steps that are done are skipped"
    remedy = f"{error.remedy}; then {again}" if error.remedy else again
    return type(error)(f"step {step.name!r} ({step.command}): {error.message}", remedy)


def _results(state: JourneyState) -> dict[str, dict[str, Any]]:
    return {name: done.result for name, done in state.done.items()}


def _steps(request: JourneyRequest) -> tuple[JourneyStep, ...]:
    defaults = {name: getattr(request, name) for name in ("data_root", "state_dir", "endpoint_url", "bucket")}
    steps = read_journey(_plan(request), {key: value for key, value in defaults.items() if value})
    names = [step.name for step in steps]
    for name in (*request.redo, *([request.until] if request.until else [])):
        if name not in names:
            near = nearest(name, names)
            raise UnknownNameError(
                f"{request.plan} has no step {name!r}",
                f"did you mean {near!r}?" if near else f"it has {', '.join(names)}",
            )
    return steps


def _plan(request: JourneyRequest) -> Path:
    return request.plan.expanduser().absolute()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
