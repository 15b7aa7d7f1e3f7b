"""What a prediction would do: grids, EM, what is there already, memory, disk and time. Nothing is written."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RefusedError
from cellmap_tui.services.import_place import ATTRIBUTE, free_bytes
from cellmap_tui.services.predict_journal import read_header, unfinished
from cellmap_tui.services.predict_model import PredictedCrop, PredictPlan
from cellmap_tui.services.predict_networks import find_networks, members_of, wanted_columns
from cellmap_tui.services.predict_places import find_places
from cellmap_tui.services.predict_volumes import Worker, target_grid, workers_of
from cellmap_tui.text import size

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid, Shape3
    from cellmap_tui.learning.ensemble import Tiling
    from cellmap_tui.services.predict_ensemble import Ensemble
    from cellmap_tui.services.predict_model import PredictRequest, VolumeState
    from cellmap_tui.services.predict_networks import Network
    from cellmap_tui.services.predict_places import Place
    from cellmap_tui.services.predict_remote import RemoteEm
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.geometry import Box

RECORD = "predict"
"""Key of what a prediction was made from, in the tool's own attributes."""
CHUNKS: Shape3 = (64, 64, 64)
CPU_BYTES = 700_000_000
"""Memory of a part on a CPU; more makes little difference to a CPU's speed."""
GPU_SHARE = 0.4
"""Share of a GPU's free memory for sums; the rest is for the network's layers."""
_TIMES, _TIMED_S = 5, 3.0
"""A tile is timed so often at most, and no longer once it was timed twice; the fastest counts."""
_ITEM_BYTES = {"uint8": 1, "float16": 2, "float32": 4}


@dataclass(slots=True, eq=False)
class Job:
    """One volume that is predicted."""

    place: Place
    """Where."""
    target: Grid
    """The grid that is written."""
    columns: tuple[str, ...]
    """Columns that are not there yet."""
    keys: dict[str, str]
    """What each of them is made from."""
    workers: list[Worker]
    """The networks."""
    parts: tuple[Box, ...]
    """How the volume is divided."""
    volume: PredictedCrop
    """What is told of it."""


@dataclass(slots=True, eq=False)
class Prepared:
    """Everything that a prediction needs."""

    request: PredictRequest
    """What was asked."""
    networks: list[Network]
    """The networks."""
    devices: list[Any]
    """Where they compute."""
    tiling: Tiling
    """How tiles are laid."""
    batch_size: int
    """Tiles that go through a network together."""
    budget_bytes: int
    """Memory of a part."""
    jobs: list[Job] = field(default_factory=list)
    """Volumes to predict."""
    others: list[PredictedCrop] = field(default_factory=list)
    """Volumes that are there, or cannot be predicted."""
    conflicts: list[str] = field(default_factory=list)
    """What stands in the way."""
    warnings: list[str] = field(default_factory=list)
    """What may need attention."""
    tile_s: float | None = None
    """Seconds of a tile."""

    @property
    def needed_bytes(self) -> int:
        """Disk space that may be needed."""
        return sum(job.volume.size_bytes for job in self.jobs)

    @property
    def tiles(self) -> int:
        """Tiles that are still to be predicted."""
        return sum(job.volume.tiles for job in self.jobs)

    @property
    def eta_s(self) -> float | None:
        """Seconds that they take."""
        return None if self.tile_s is None else self.tiles * self.tile_s / len(self.devices)

    @property
    def device_words(self) -> str:
        """The devices, for people."""
        return ", ".join(str(device) for device in self.devices)

    def free_bytes(self) -> int:
        """Return the free disk space where predictions go."""
        folders = [job.place.folder for job in self.jobs]
        return free_bytes(folders[0] if folders else Path.cwd())

    def plan(self) -> PredictPlan:
        """Return it for people and programs."""
        return PredictPlan(
            networks=tuple(network.words for network in self.networks),
            output=self.request.template,
            device=self.device_words,
            crops=tuple([job.volume for job in self.jobs] + self.others),
            tiles=self.tiles,
            needed_bytes=self.needed_bytes,
            free_bytes=self.free_bytes(),
            memory_bytes=self.budget_bytes * len(self.devices),
            tile_s=self.tile_s,
            eta_s=self.eta_s,
            warnings=(*self.warnings, *self.conflicts),
        )


def prepare(request: PredictRequest, report: Reporter, remote: RemoteEm | None) -> Prepared:
    """Find networks and volumes, and look at everything that may stand in the way.

    Raises
    ------
    RequestError
        If classes, crops or devices are wrong.
    MissingDataError
        If a checkpoint is not there.
    DataError
        If a checkpoint is cut short or of another network.
    RefusedError
        If the memory that is allowed is too small.
    """
    ensemble, networks = find_networks(request)
    ready = _on_devices(request, networks)
    for network in networks:
        network.on(ready.devices[0])
        report.note(network.words)
    places = find_places(request, report, remote)
    for number, place in enumerate(places):
        report.checkpoint()
        report.progress(number, len(places), "crops planned")
        _add_place(ready, ensemble, place, remote)
    report.progress(len(places), len(places), "crops planned")
    if ready.jobs:
        ready.tile_s = _timed(ready)
    return ready


def check(ready: Prepared) -> None:
    """Refuse what would do harm.

    Raises
    ------
    RefusedError
        If something else is in the way, or the disk or ``--max-bytes`` would be exceeded; says what allows it.
    """
    request = ready.request
    if ready.conflicts:
        more = f" (and {len(ready.conflicts) - 1} more)" if len(ready.conflicts) > 1 else ""
        raise RefusedError(f"{ready.conflicts[0]}{more}", "replace it with --overwrite, or write elsewhere with -o")
    needed = ready.needed_bytes
    if request.max_bytes is not None and needed > request.max_bytes:
        raise RefusedError(
            f"the predictions take up to {size(needed)}, and --max-bytes allows {size(request.max_bytes)}",
            "predict fewer classes or crops, a coarser --voxel-size or uint8, or allow more",
        )
    free = ready.free_bytes()
    if needed > free and not request.ignore_disk:
        raise RefusedError(
            f"the predictions take up to {size(needed)}, and {size(free)} are free",
            "predict fewer classes or a coarser --voxel-size, write elsewhere with -o, or go on with --ignore-disk",
        )


def _on_devices(request: PredictRequest, networks: list[Network]) -> Prepared:
    import torch  # 2 s

    from cellmap_tui.learning.ensemble import Tiling
    from cellmap_tui.learning.machine import AMPERE, chosen_device

    first = chosen_device(request.device)
    devices = [first]
    if request.devices > 1:
        base = first.index or 0
        names = [f"{first.type}:{base + n}" if first.type == "cuda" else first.type for n in range(request.devices)]
        devices = [chosen_device(name) for name in names]
    precision = request.precision
    if precision == "auto":
        is_new = first.type == "cuda" and torch.cuda.get_device_capability(first)[0] >= AMPERE
        precision = "bf16" if is_new else "fp16" if first.type == "cuda" else "fp32"
    tiling = Tiling(request.overlap, request.blending, request.flips, request.axes or None, precision)
    flat = all(network.card.dimensions == 2 for network in networks)
    usual = (64 if flat else 8) if first.type == "cuda" else (8 if flat else 1)
    return Prepared(request, networks, devices, tiling, request.batch_size or usual, _budget(request, first))


def _budget(request: PredictRequest, device: Any) -> int:
    import torch

    from cellmap_tui.services.memory_budget import memory_budget

    if request.memory_bytes is not None:
        return request.memory_bytes // request.devices
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * GPU_SHARE)
    return min(CPU_BYTES, memory_budget(None).bytes // request.devices)


def _add_place(ready: Prepared, ensemble: Ensemble, place: Place, remote: RemoteEm | None) -> None:
    request = ready.request
    asked = None if request.all_classes else place.classes
    columns = wanted_columns(request, ready.networks, asked)
    columns = tuple(name for name in columns if any(members_of(ensemble, ready.networks, (name,))))
    if not columns:
        reason = f"the networks know none of its {len(asked or ())} classes"
        ready.others.append(replace(_told(place, (), place.grid), state="nothing", reason=reason))
        return
    target = target_grid(request, ready.networks, place)
    told = _told(place, columns, target)
    try:
        workers = workers_of(request, ready.networks, ensemble, place, columns, ready.tiling.margin, remote)
    except (MissingDataError, DataError) as error:
        state: VolumeState = "missing" if isinstance(error, MissingDataError) else "failed"
        ready.others.append(replace(told, state=state, reason=str(error)))
        return
    told = replace(told, em="; ".join(dict.fromkeys(worker.em.choice.reason for worker in workers)))
    keys = {name: _key(ready, place, target, workers, name) for name in columns}
    todo = tuple(name for name in columns if not _is_there(ready, place, name, keys[name]))
    if not todo:
        ready.others.append(replace(told, state="kept", stored_bytes=stored_bytes(place, columns)))
        return
    todo = tuple(name for name in columns if name in todo or name.rpartition("/core")[0] in todo)
    workers = workers_of(request, ready.networks, ensemble, place, todo, ready.tiling.margin, remote)
    _add_job(ready, place, target, told, {name: keys[name] for name in todo}, workers)


def _add_job(
    ready: Prepared, place: Place, target: Grid, told: PredictedCrop, keys: dict[str, str], workers: list[Worker]
) -> None:
    from cellmap_tui.learning.part_plan import part_tiles, plan_parts
    from cellmap_tui.volumes.geometry import Box

    predictors = [(worker.predictor(ready.devices[0], ready.batch_size, ready.tiling), worker.grid)
                  for worker in workers]  # fmt: skip
    parts = plan_parts(predictors, target, len(keys), CHUNKS, ready.budget_bytes, len(ready.devices))
    rows = unfinished(place.folder, keys)
    if rows is not None:
        parts = tuple(Box(tuple(start), tuple(stop)) for start, stop in read_header(place.folder)["parts"])
    rest = [_rest(part, (rows or {}).get(number, 0)) for number, part in enumerate(parts)]
    tiles = part_tiles(predictors, target, [part for part in rest if not part.is_empty])
    stored = math.prod(target.shape) * len(keys) * _ITEM_BYTES[ready.request.dtype] * 8 // 7
    volume = replace(told, tiles=tiles, parts=len(parts), size_bytes=stored)
    ready.jobs.append(Job(place, target, tuple(keys), keys, workers, parts, volume))


def _rest(part: Box, row: int) -> Box:
    from cellmap_tui.volumes.geometry import Box

    return Box((min(max(row, part.start[0]), part.stop[0]), *part.start[1:]), part.stop)


def _told(place: Place, columns: tuple[str, ...], target: Grid) -> PredictedCrop:
    return PredictedCrop(place.ref, str(place.folder), columns, target.shape, target.voxel_size_nm, "planned")


def _key(ready: Prepared, place: Place, target: Grid, workers: list[Worker], column: str) -> str:
    """Return what tells a column of a volume from one that was made otherwise."""
    request = ready.request
    made = [
        [worker.network.print, weight, worker.margin, worker.em.choice.level.name, worker.em.choice.level.shape]
        for worker in workers
        for name, weight in worker.member.weights
        if name == column
    ]
    told = {
        "column": column,
        "made": made,
        "em": place.em_name,
        "grid": [target.voxel_size_nm, target.translation_nm, target.shape],
        "tiling": [getattr(ready.tiling, name) for name in ready.tiling.__slots__],
        "stored": [request.dtype, request.unit],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def recorded_key(path: Path) -> str | None:
    """Return what a volume on disk was made from; None: it is no prediction of this tool."""
    try:
        told = json.loads((path / ".zattrs").read_bytes())
        return str(told[ATTRIBUTE][RECORD]["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_there(ready: Prepared, place: Place, column: str, key: str) -> bool:
    path = place.folder / column
    if not (path / ".zattrs").exists() and not (path / ".zarray").exists():
        return False
    if recorded_key(path) == key:
        return True
    if not ready.request.overwrite:
        ready.conflicts.append(f"{path} is there, predicted by another network or otherwise")
    return False


def stored_bytes(place: Place, columns: tuple[str, ...]) -> int:
    """Return the size on disk of some columns; a core lies within its class."""
    own = [name for name in columns if name.rpartition("/core")[0] not in columns]
    files = (file for name in own for file in (place.folder / name).rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _timed(ready: Prepared) -> float | None:
    """Return the seconds of a tile, averaged over what the first volume takes; the first batch warms up."""
    from cellmap_tui.learning.predictor import Tile

    class Nothing:
        shape = ready.jobs[0].workers[0].grid.shape

        def read(self, box: Box, axis: int | None, out: Any) -> bool:
            return True

    total = tiles = 0.0
    for worker in ready.jobs[0].workers:
        predictor = worker.predictor(ready.devices[0], ready.batch_size, ready.tiling)
        plan = predictor.plans(worker.grid.shape)[0]
        batch = [(Nothing(), Tile(0, (0, 0, 0), plan.reach((0, 0, 0))))] * predictor.batch_size
        seconds: list[float] = []
        while len(seconds) < 2 or (len(seconds) < _TIMES and sum(seconds) < _TIMED_S):
            begun = time.perf_counter()
            last = [found for found in predictor.predict_tiles(batch) if found is not None][-1]
            float(last.flatten()[0])  # waits for the device
            seconds.append(time.perf_counter() - begun)
        total += min(seconds)
        tiles += len(batch)
    return total / max(1.0, tiles)
