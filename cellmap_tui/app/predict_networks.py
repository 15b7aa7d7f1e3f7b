"""Networks that can predict: trainings below the runs root, and whatever was typed. Read without torch."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.jobs.summary import RunSummary

TRAIN = "train"
"""Name of the command that makes networks."""


@dataclass(frozen=True, slots=True)
class NetworkItem:
    """A place from which weights can be taken."""

    place: str
    """Absolute path."""
    name: str
    """Name of the run, or the path."""
    kind: str
    """``run``, ``folder``, ``file``, ``configuration`` or ``ensemble``."""
    state: str = ""
    """Where the training stands."""
    architecture: str = ""
    """Name of the network."""
    voxel_size_nm: Vec3 | None = None
    """Voxel size that it works at."""
    classes: tuple[str, ...] = ()
    """What it knows, cores left out."""
    best_epoch: int | None = None
    """Epoch of the best checkpoint."""
    best_dice: float | None = None
    """Mean Dice of that epoch's validation."""
    latest_epoch: int | None = None
    """Epoch of the newest checkpoint."""
    latest_dice: float | None = None
    """Mean Dice of that epoch's validation."""
    problem: str = ""
    """Why it cannot predict."""


def trained_networks(runs: Iterable[RunSummary]) -> tuple[NetworkItem, ...]:
    """Return the trainings among runs, in their order; those without a checkpoint say so. Called in a thread."""
    return tuple(_of_run(run) for run in runs if run.command == TRAIN)


def typed_network(typed: str) -> NetworkItem:
    """Return what lies at a path that was typed.

    Raises
    ------
    CellmapError
        If nothing there can predict.
    """
    path = Path(typed.strip()).expanduser().absolute()
    if not typed.strip() or not path.exists():
        raise RequestError(f"{path} does not exist", "type a run's folder, a .pth file, or an ensemble.toml")
    if path.suffix == ".toml" and _is_ensemble(path):
        from cellmap_tui.services.predict_ensemble import read_ensemble

        ensemble = read_ensemble(path)
        names = tuple(name for name, _ in ensemble.classes if name != "*")
        return NetworkItem(str(path), path.name, "ensemble", f"{len(ensemble.runs)} runs", classes=names)
    if path.suffix in (".toml", ".py"):
        return NetworkItem(str(path), path.name, "configuration")
    item = _read(path, path.name, "folder" if path.is_dir() else "file", "")
    if item.problem:
        raise RequestError(item.problem, "type a run's folder, a folder of checkpoints or a .pth file")
    return item


def known_network(place: str) -> NetworkItem:
    """Return a network that is chosen already; what is wrong with it is in `NetworkItem.problem`."""
    try:
        return typed_network(place)
    except CellmapError as error:
        return NetworkItem(place, Path(place).name, "folder", problem=error.message)


def _of_run(run: RunSummary) -> NetworkItem:
    from cellmap_tui.app.evaluations import asked_of

    folder = asked_of(run.path).get("folder")
    return _read(Path(folder) if folder else run.path, run.run_id, "run", run.state)


def _read(place: Path, name: str, kind: str, state: str) -> NetworkItem:
    from cellmap_tui.learning.checkpoints import find_checkpoint
    from cellmap_tui.learning.history import NAME, read_history

    shown = str(place.absolute())
    try:
        best, latest = find_checkpoint(place, "best"), find_checkpoint(place, "latest")
    except (CellmapError, OSError) as error:
        return NetworkItem(shown, name, kind, state, problem=getattr(error, "message", "") or str(error))
    dice = {row.epoch: row.values.get("val/dice") for row in read_history(best.weights.parent / NAME)}
    card = best.card
    return NetworkItem(
        shown,
        name,
        kind,
        state,
        architecture="" if card is None else f"{card.dimensions}D {card.architecture}",
        voxel_size_nm=None if card is None else card.voxel_size_nm,
        classes=() if card is None else tuple(one for one in card.columns if not one.endswith("/core")),
        best_epoch=best.epoch,
        best_dice=_finite(dice.get(best.epoch or 0)),
        latest_epoch=latest.epoch,
        latest_dice=_finite(dice.get(latest.epoch or 0)),
        problem="" if card is not None else f"no model.json beside {best.weights.name}: give its configuration",
    )


def _is_ensemble(path: Path) -> bool:
    try:
        return "runs" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}", "write it as TOML") from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
