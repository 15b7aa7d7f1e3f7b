"""The plan file: steps with their options, read and checked before anything runs.

A plan is TOML::

    [options]                      # for every step that knows the option
    data_root = "data"

    [[step]]
    command = "pack-results"
    fill_missing = "zeros"

    [[step]]
    name = "score"                 # where the command's name is not enough
    command = "evaluate"
    submission = "${pack-results.output}"

Options have the names of the Python interface. Paths are relative to the file. ``${step.field}`` stands for a
field of an earlier step's result.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.services.journey_model import JourneyStep
from cellmap_tui.services.journey_places import resolved
from cellmap_tui.services.models import from_mapping
from cellmap_tui.services.registry import COMMANDS, find_command
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_FILE_BYTES = 2**20
REFERENCE = re.compile(r"\$\{(?P<step>[^}.]+)\.(?P<field>[^}]+)\}")
"""A whole value that stands for a field of an earlier step's result."""
_SHAPE = 'a plan has steps: [[step]] and below it a line such as command = "verify"'
_NOT_IN_PLANS = ("run",)
_STEP_KEYS = ("name", "command")


def read_journey(path: Path, defaults: Mapping[str, Any]) -> tuple[JourneyStep, ...]:
    """Read a plan file and check every step as far as that is possible before it runs.

    Parameters
    ----------
    path
        The plan file.
    defaults
        Options for steps that know them and whose file does not name them, such as the data root.

    Raises
    ------
    MissingDataError
        If the file cannot be read.
    RequestError
        If it is not TOML, or a step is wrong: names the step and the option, and the nearest right one.
    """
    raw = _toml(path)
    for key in raw.keys() - {"step", "options", "title"}:
        near = nearest(key, ("step", "options", "title"))
        raise RequestError(f"{path}: unknown key {printable(key)!r}", f"did you mean {near!r}?" if near else _SHAPE)
    entries = raw.get("step")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(f"{path} has no steps", _SHAPE)
    shared = raw.get("options", {})
    if not isinstance(shared, dict):
        raise RequestError(f"{path}: options is not a table", "begin it with [options]")
    _check_shared(path, shared, [entry.get("command") for entry in entries])
    steps: list[JourneyStep] = []
    for position, entry in enumerate(entries, 1):
        step = _step(path, position, entry, shared, defaults)
        if any(step.name == other.name for other in steps):
            raise RequestError(f"{path}: two steps are called {step.name!r}", 'give one of them a name = "…"')
        _check_references(path, step, steps)
        steps.append(step)
    return tuple(steps)


def request_of(step: JourneyStep, results: Mapping[str, Mapping[str, Any]]) -> object:
    """Return the request of a step, with the references to earlier results filled in.

    Raises
    ------
    RequestError
        If an option does not fit, or a result has no such field.
    """
    options = {key: _filled(value, step, results) for key, value in step.options.items()}
    return from_mapping(options, find_command(step.command).request_model(), source=f"step {step.name!r}")


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise DataError(f"{path} is too large to be a plan")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise MissingDataError(f"plan {path} cannot be read: {error.strerror}", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not TOML: {error}", _SHAPE) from None


def _check_shared(path: Path, shared: Mapping[str, Any], commands: list[object]) -> None:
    """Refuse a shared option that no step knows: it would do nothing, silently."""
    usable = [command for command in commands if isinstance(command, str) and command in COMMANDS]
    if len(usable) < len(commands):
        return  # the wrong command is the better thing to tell
    known = {name for command in usable for name in _fields(command)}
    for key in shared:
        if key not in known:
            near = nearest(key, known)
            remedy = f"did you mean {near!r}?" if near else "remove it"
            raise RequestError(f"{path}: no step has the option {printable(key)!r} of [options]", remedy)


def _step(
    path: Path, position: int, entry: dict[str, Any], shared: Mapping[str, Any], defaults: Mapping[str, Any]
) -> JourneyStep:
    place = f"{path}: step {position}"
    command = entry.get("command")
    if not isinstance(command, str):
        raise RequestError(f"{place} has no command", 'add a line such as command = "verify"')
    try:
        find_command(command)
    except CellmapError as error:
        raise RequestError(f"{place}: {error.message}", error.remedy) from None
    if command in _NOT_IN_PLANS:
        raise RequestError(f"{place}: a plan cannot run plans", "put the other plan's steps into this one")
    name = entry.get("name", command)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
        raise RequestError(f"{place}: name {printable(str(name))!r} is not a name", "use letters, digits, _ and -")
    fields = _fields(command)
    own = {key: value for key, value in entry.items() if key not in _STEP_KEYS}
    for key in own:
        if key not in fields:
            near = nearest(key, fields)
            raise RequestError(
                f"{place} ({name}): {command} has no option {printable(key)!r}",
                f"did you mean {near!r}?" if near else f"it has {', '.join(sorted(fields))}",
            )
    given = {**{key: value for key, value in shared.items() if key in fields}, **own}
    options = resolved(given, find_command(command).request_model(), path.parent)
    for key, value in defaults.items():
        if key in fields and key not in options and value is not None:
            options[key] = value
    step = JourneyStep(name, command, options)
    if not any(_reference(value) for value in options.values()):
        request_of(step, {})
    return step


def _check_references(path: Path, step: JourneyStep, earlier: list[JourneyStep]) -> None:
    names = [other.name for other in earlier]
    for key, value in step.options.items():
        reference = _reference(value)
        if reference is not None and reference["step"] not in names:
            near = nearest(reference["step"], names)
            raise RequestError(
                f"{path}: step {step.name!r}: {key} refers to {reference['step']!r}, which is no earlier step",
                f"did you mean {near!r}?" if near else "a step can only use results of the steps above it",
            )


def _fields(command: str) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(find_command(command).request_model()))


def _reference(value: object) -> re.Match[str] | None:
    return REFERENCE.fullmatch(value) if isinstance(value, str) else None


def _filled(value: Any, step: JourneyStep, results: Mapping[str, Mapping[str, Any]]) -> Any:
    reference = _reference(value)
    if reference is None:
        return value
    result = results.get(reference["step"], {})
    if result.get(reference["field"]) is None:
        near = nearest(reference["field"], result)
        raise RequestError(
            f"step {step.name!r}: the result of {reference['step']!r} has no {reference['field']!r}",
            f"did you mean {near!r}?" if near else f"it has {', '.join(result) or 'nothing'}",
        )
    return result[reference["field"]]
