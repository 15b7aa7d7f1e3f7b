"""`ensemble.toml`: which run predicts which class, at which voxel size, and how much it counts.

A file looks like this::

    [runs.fine]
    checkpoint = "runs/2026-fine"      # a run, a folder of checkpoints or a .pth file, relative to this file
    which = "best"                     # or "latest"

    [runs.coarse]
    checkpoint = "runs/2026-coarse"
    scale = 16                         # voxel size in nm to work at; without it that of training
    weight = 0.5                       # counts half as much as a run of weight 1

    [classes]                          # without it: every class from every run that knows it
    mito = ["fine", "coarse"]
    nuc = { coarse = 1.0 }
    "*" = ["fine"]                     # all other classes of these runs
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.challenge.grid import Vec3

OTHERS = "*"
"""In place of a class: all that are not named."""
MAX_BYTES = 2**20
_RUN_KEYS = ("checkpoint", "which", "scale", "weight")


@dataclass(frozen=True, slots=True)
class RunChoice:
    """One network of an ensemble."""

    name: str
    """Its name in the file."""
    checkpoint: str
    """Where its weights are."""
    which: str | None = None
    """``best`` or ``latest``; None: as the request says."""
    scale_nm: Vec3 | None = None
    """Voxel size that it works at; None: that of training."""
    weight: float = 1.0
    """How much it counts."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks and the classes that they predict."""

    runs: tuple[RunChoice, ...]
    """At least one."""
    classes: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    """Class, and the runs that predict it with their weights; `OTHERS` for all that are not named."""

    def weights(self, name: str, knowing: Iterable[str]) -> dict[str, float]:
        """Return how much each run counts for a class, adding up to 1.

        Parameters
        ----------
        name
            The class.
        knowing
            Runs whose networks know it.

        Raises
        ------
        RequestError
            If a run that is named for the class does not know it.
        """
        known = set(knowing)
        named = dict(self.classes)
        chosen = named.get(name, named.get(OTHERS))
        by_name = {run.name: run.weight for run in self.runs}
        if chosen is None:
            found = {} if self.classes else {run: by_name[run] for run in by_name if run in known}
        elif name in named:
            missing = [run for run, _ in chosen if run not in known]
            if missing:
                raise RequestError(
                    f"the network of {missing[0]!r} does not know {name!r}", "name another run for it, or none"
                )
            found = {run: weight * by_name[run] for run, weight in chosen}
        else:
            found = {run: weight * by_name[run] for run, weight in chosen if run in known}
        total = sum(found.values())
        return {run: weight / total for run, weight in found.items() if weight > 0}


def read_ensemble(path: Path) -> Ensemble:
    """Return the ensemble of a file.

    Raises
    ------
    MissingDataError
        If there is no file.
    RequestError
        If something in it is wrong; names the key.
    """
    try:
        content = path.read_bytes()[: MAX_BYTES + 1]
        told = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise MissingDataError(f"cannot read {path}: {error.strerror}", "check --ensemble") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not TOML: {error}", "see docs/predict.md for an example") from None
    return _ensemble(told, path)


def _ensemble(told: dict[str, Any], path: Path) -> Ensemble:
    _check_keys(told, ("runs", "classes"), str(path))
    runs = told.get("runs")
    if not isinstance(runs, dict) or not runs:
        raise RequestError(f"{path} names no runs", 'write for each: [runs.NAME] and checkpoint = "PATH"')
    choices = tuple(_run(name, table, path) for name, table in runs.items())
    classes = told.get("classes", {})
    if not isinstance(classes, dict):
        raise RequestError(f"{path}: classes is no table", 'write [classes] and mito = ["NAME"]')
    names = [run.name for run in choices]
    return Ensemble(choices, tuple((name, _members(name, value, names, path)) for name, value in classes.items()))


def _run(name: str, table: object, path: Path) -> RunChoice:
    where = f"{path}: runs.{printable(name)}"
    if not isinstance(table, dict):
        raise RequestError(f"{where} is no table", f'write [runs.{printable(name)}] and checkpoint = "PATH"')
    _check_keys(table, _RUN_KEYS, where)
    place, which = table.get("checkpoint"), table.get("which")
    if not isinstance(place, str) or not place:
        raise RequestError(f"{where} has no checkpoint", "name a run, a folder of checkpoints or a .pth file")
    if which not in (None, "best", "latest"):
        raise RequestError(f"{where}: which = {which!r}", 'write "best" or "latest"')
    weight = _number(table.get("weight", 1.0), f"{where}: weight")
    return RunChoice(name, str(path.parent / place), which, _scale(table.get("scale"), where), weight)


def _scale(value: object, where: str) -> Vec3 | None:
    if value is None:
        return None
    parts = value if isinstance(value, list) else [value] * 3
    if len(parts) != 3:
        raise RequestError(f"{where}: scale = {value!r}", "write a voxel size in nm: 8 or [8, 8, 8]")
    z, y, x = (_number(part, f"{where}: scale") for part in parts)
    if min(z, y, x) <= 0:
        raise RequestError(f"{where}: scale = {value!r}", "write a voxel size above 0")
    return (z, y, x)


def _members(name: str, value: object, runs: list[str], path: Path) -> tuple[tuple[str, float], ...]:
    where = f"{path}: classes.{printable(name)}"
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = dict.fromkeys((str(part) for part in value), 1.0)
    if not isinstance(value, dict) or not value:
        raise RequestError(f"{where} names no run", 'write ["NAME"] or { NAME = 0.5 }')
    for run in value:
        if run not in runs:
            near = nearest(run, runs)
            raise RequestError(
                f"{where}: there is no run {run!r}", f"did you mean {near!r}?" if near else f"there are {runs}"
            )
    members = tuple((str(run), _number(weight, where)) for run, weight in value.items())
    if not any(weight > 0 for _, weight in members):
        raise RequestError(f"{where}: no run has a weight above 0", "give one of them a weight")
    return members


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise RequestError(f"{where} is {value!r}", "write a number from 0 on")
    return float(value)


def _check_keys(told: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in told:
        if key not in known:
            near = nearest(key, known)
            raise RequestError(
                f"{where}: {printable(key)} means nothing",
                f"did you mean {near!r}?" if near else f"there are {', '.join(known)}",
            )
