"""How far a plan has come: a file beside it, replaced after every step.

``plan.toml`` has ``plan.state.json``. A step stands in it with the hash of its options, the signatures of the
places that it names as they were when it ended, its artefacts and its result.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.journey_places import places_of, signature
from cellmap_tui.services.models import from_json, to_builtins, to_json
from cellmap_tui.storage.held import hold, let_go

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

from contextlib import contextmanager

FORMAT = 1
_MAX_ARTEFACTS = 1000
_HOW_NOT_WHAT = frozenset({"state_dir", "workers", "num_workers", "memory_bytes", "batch_size", "yes", "ignore_disk"})
"""Options that decide how the work is done, not what comes out."""


@dataclass(frozen=True, slots=True)
class DoneStep:
    """What is remembered of a finished step."""

    options: str
    """Hash of its command and options."""
    places: dict[str, str]
    """Option to the place's signature when the step had ended."""
    artefacts: tuple[str, ...]
    """Files and folders that it made."""
    result: dict[str, Any] = field(default_factory=dict)
    """Its result, for steps that refer to it."""


@dataclass(frozen=True, slots=True)
class JourneyState:
    """What is remembered of a plan."""

    format: int = FORMAT
    """Version of this file's format."""
    done: dict[str, DoneStep] = field(default_factory=dict)
    """Finished steps by name."""
    running: str = ""
    """Step that was under way when this was written; what changed in its places is its doing."""
    running_places: tuple[str, ...] = ()
    """Places of that step."""
    running_made: bool = False
    """Whether that step had made something: then what is in its way is the plan's own."""


def state_file(plan: Path) -> Path:
    """Return where the progress of a plan is kept."""
    return plan.with_name(f"{plan.stem}.state.json")


def read_state(file: Path) -> JourneyState:
    """Return what is remembered; nothing where there is no file, or one that this version cannot read."""
    try:
        state = from_json(file.read_bytes(), JourneyState, source=str(file))
    except (OSError, ValueError):
        return JourneyState()
    return state if state.format == FORMAT else JourneyState()


def write_state(file: Path, state: JourneyState) -> None:
    """Replace the file at once."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            out.write(to_json(state))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RefusedError(
            f"{file} cannot be written: {error.strerror}",
            "a plan keeps its progress beside it: make the folder writable",
        ) from None


@contextmanager
def only_runner(plan: Path) -> Iterator[None]:
    """Hold a plan for this process; RefusedError if another one carries it out."""
    lock = plan.with_name(f".{plan.name}.lock")
    try:
        held = hold(lock)
    except OSError as error:
        raise RefusedError(f"{lock} cannot be written: {error.strerror}", "make the plan's folder writable") from None
    if not held:
        raise RefusedError(f"another process carries out {plan}", "watch it under `runs`, or wait for its end")
    try:
        yield
    finally:
        let_go(lock)


def begun(state: JourneyState, name: str, request: object) -> JourneyState:
    """Return the state with a step under way."""
    places = tuple(str(place) for place in places_of(request).values())
    kept = {step: done for step, done in state.done.items() if step != name}
    return replace(state, done=kept, running=name, running_places=places, running_made=is_own(state, name))


def is_own(state: JourneyState, name: str) -> bool:
    """Return whether this plan has carried a step out before, so far that it made something."""
    return name in state.done or (name == state.running and state.running_made)


def finished(
    state: JourneyState, name: str, command: str, request: object, artefacts: list[str], result: object
) -> JourneyState:
    """Return the state with a step done, and what it changed taken into what earlier steps remember."""
    mine = places_of(request)
    value = to_builtins(result)
    done = DoneStep(
        options=options_hash(command, request),
        places={key: signature(key, place) for key, place in mine.items()},
        artefacts=tuple(artefacts[:_MAX_ARTEFACTS]),
        result=value if isinstance(value, dict) else {},
    )
    return replace(state, done={**state.done, name: done}, running="", running_places=(), running_made=False)


def unchanged_places(done: DoneStep, request: object) -> dict[str, Path]:
    """Return those places of a done step that are as they were when it ended."""
    return {key: place for key, place in places_of(request).items() if done.places.get(key) == signature(key, place)}


def signed_anew(state: JourneyState, name: str, places: Mapping[str, Path]) -> JourneyState:
    """Return the state with these places of a done step signed as they are now."""
    old = state.done[name]
    today = {key: signature(key, place) for key, place in places.items()}
    return replace(state, done={**state.done, name: replace(old, places={**old.places, **today})})


def options_hash(command: str, request: object) -> str:
    """Return a hash of what a step does: its command and options."""
    values = {key: value for key, value in to_builtins(request).items() if key not in _HOW_NOT_WHAT}
    text = json.dumps([command, values], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
