"""A small synthetic challenge, and the journey through the tool on it.

Owns the request, the result and the order of work. What the data look like is in the ``demo_*``
modules beside this one; each step of the journey is a function in `STEPS`.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services.demo_journey import (
    NOT_AVAILABLE,
    STEPS,
    StepOutcome,
    plan_outcomes,
    run_plan,
    write_plan,
)
from cellmap_tui.services.demo_plan import Size, demo_plan
from cellmap_tui.services.demo_root import (
    DemoRoot,
    Marker,
    check_place,
    clear,
    only_writer,
    read_marker,
    write_marker,
)
from cellmap_tui.services.demo_tables import write_annotation_manifest, write_crop_manifest
from cellmap_tui.services.demo_units import Sample, units_of
from cellmap_tui.text import size as size_text

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.demo_plan import DatasetPlan
    from cellmap_tui.services.demo_units import Unit
    from cellmap_tui.services.journey_model import JourneyResult
    from cellmap_tui.services.report import Reporter

_NEEDED_BYTES = {"small": 150_000_000, "tiny": 30_000_000}
"""Disk space asked for before the start; a demo takes somewhat less."""
_BLOCK_BYTES = 4096
"""A small file takes one block of the file system."""


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """What `demo` is asked to make."""

    root: Path
    """Folder of the demo; new, empty, or an unfinished or finished demo."""
    size: Size = "small"
    """``small`` (about 60 MB) or ``tiny`` (a quick one, for trying things out)."""
    seed: int = 0
    """The same seed and size make the same bytes."""
    make_only: bool = False
    """Stop after the data."""
    overwrite: bool = False
    """Replace a demo of another size or seed in `root`."""
    user_data_root: Path | None = None
    """Data root that the demo stays out of; None: the one of the settings."""

    def __post_init__(self) -> None:
        if self.size not in _NEEDED_BYTES:
            raise RequestError(f"size {self.size!r} does not exist", "use small or tiny")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"seed {self.seed} must be 0 to {2**32 - 1}")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Where the demo lies and how the journey went."""

    data_root: Path
    """Data root with EM, training crops and local catalog."""
    bucket_root: Path
    """Folder of buckets: what an S3 server serves."""
    truth_path: Path
    """Ground truth of the test crops, a zarr store laid out as a submission."""
    manifest: Path
    """Addresses of the training crops, columns of the published ``manifest.csv``."""
    train_manifest: Path
    """Annotations of the training crops."""
    test_manifest: Path
    """Volumes of the test crops."""
    crops: dict[str, tuple[int, ...]]
    """Crop ids by split: ``train`` and ``test``."""
    size_bytes: int
    """Disk space of the whole demo."""
    elapsed_s: float
    """Time that this call took."""
    steps: tuple[StepOutcome, ...]
    """The steps of the journey that were made."""
    not_available: tuple[str, ...]
    """Steps of the journey that this version does not have."""
    plan: Path
    """The plan that the journey carries out; `run` carries it out again."""
    zip_path: Path | None = None
    """The packed submission; None with `make_only`."""
    overall_score: float | None = None
    """Its score; None with `make_only`."""


def demo(request: DemoRequest, report: Reporter) -> DemoResult:
    """Make the synthetic challenge, then walk the journey on it.

    What an earlier call for the same folder, size and seed has finished is kept.

    Raises
    ------
    RefusedError
        If the folder is a data root, lies inside one, holds anything else, or the disk is too full.
    Stopped
        When the user asked to stop; the next call goes on.
    """
    started = time.monotonic()
    paths = DemoRoot(request.root.expanduser().absolute())
    plans = demo_plan(request.size)
    _prepare(request, paths)
    with only_writer(paths):
        steps = [_make_data(request, paths, plans, report)]
        write_plan(paths)
        walked = None if request.make_only else _walk(paths, steps, report)
    return DemoResult(
        data_root=paths.data_root,
        bucket_root=paths.bucket_root,
        truth_path=paths.truth,
        manifest=paths.manifest,
        train_manifest=paths.train_manifest,
        test_manifest=paths.test_manifest,
        crops={
            "train": tuple(c.id for plan in plans for c in plan.training),
            "test": tuple(c.id for plan in plans for c in plan.test),
        },
        size_bytes=_disk_usage(paths.root),
        elapsed_s=round(time.monotonic() - started, 3),
        steps=tuple(steps),
        not_available=NOT_AVAILABLE,
        plan=paths.plan,
        zip_path=Path(_of_step(walked, "pack-results", "zip")) if walked is not None else None,
        overall_score=_of_step(walked, "evaluate", "overall_score"),
    )


def _walk(paths: DemoRoot, steps: list[StepOutcome], report: Reporter) -> JourneyResult:
    """Look at the data, then carry out the plan; every outcome is added to `steps`."""
    for step in STEPS:
        report.checkpoint()
        steps.append(step(paths, report))
        report.note(f"{steps[-1].name}: {steps[-1].outcome}")
    result = run_plan(paths, report)
    steps += plan_outcomes(result)
    return result


def _of_step(walked: JourneyResult | None, command: str, field: str) -> Any:
    """Return a field of the result of the plan's first step with that command; None where there is none."""
    rows = () if walked is None else walked.steps
    return next((row.result.get(field) for row in rows if row.command == command), None)


def _prepare(request: DemoRequest, paths: DemoRoot) -> None:
    """Check the place and make the folder with its marker."""
    check_place(paths.root, request.user_data_root or _data_root_of_settings())
    marker = read_marker(paths.marker)
    wanted = Marker(request.size, request.seed)
    if marker is not None and marker.recipe != wanted.recipe:
        if not request.overwrite:
            raise RefusedError(
                f"{paths.root} holds another demo (size {marker.size}, seed {marker.seed}, format {marker.format})",
                "choose another folder, or replace it with --overwrite",
            )
        with only_writer(paths):
            clear(paths)
        marker = None
    if marker is None:
        _check_disk(request, paths.root)
        try:
            paths.root.mkdir(parents=True, exist_ok=True)
            write_marker(paths.marker, wanted)
        except OSError as error:
            raise RefusedError(
                f"{paths.root} cannot be written: {error.strerror}", "choose another folder for the demo"
            ) from None


def _data_root_of_settings() -> Path:
    from cellmap_tui.services.settings import load_settings

    return load_settings().data_root


def _check_disk(request: DemoRequest, root: Path) -> None:
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    needed = _NEEDED_BYTES[request.size]
    if free < needed:
        raise RefusedError(
            f"{existing} has {size_text(free)} free and the demo needs {size_text(needed)}",
            "make room or choose another folder for the demo",
        )


def _make_data(
    request: DemoRequest, paths: DemoRoot, plans: tuple[DatasetPlan, ...], report: Reporter
) -> StepOutcome:
    samples = [Sample(plan, request.seed, report.checkpoint) for plan in plans]
    units = [unit for sample in samples for unit in units_of(sample)]
    made = _make_units(units, paths, report)
    crops = [crop for plan in plans for crop in plan.crops]
    _write_tables(paths, crops, report)
    kept = len(units) - made
    outcome = f"{len(plans)} datasets, {len(crops)} crops"
    return StepOutcome(
        "make data", f"{outcome}; {kept} of {len(units)} units were there already" if kept else outcome
    )


def _make_units(units: list[Unit], paths: DemoRoot, report: Reporter) -> int:
    """Make the units that are not finished; return how many those were."""
    marker = read_marker(paths.marker)
    finished = {
        unit.name
        for unit in units
        if marker and unit.name in marker.finished and all(t.is_dir() for t in unit.targets(paths))
    }
    counter = _Counter(sum(unit.blocks for unit in units), report)
    counter.add(sum(unit.blocks for unit in units if unit.name in finished))
    todo = [unit for unit in units if unit.name not in finished]
    for unit in todo:
        report.checkpoint()
        report.note(f"making {unit.name}")
        unit.make(paths, counter.step)
        finished.add(unit.name)
        if marker is not None:
            write_marker(paths.marker, Marker(marker.size, marker.seed, tuple(finished)))
        for target in unit.targets(paths):
            report.artefact(target, "volume")
    return len(todo)


def _write_tables(paths: DemoRoot, crops: list[Crop], report: Reporter) -> None:
    """Write the manifests and the local catalog."""
    from cellmap_tui.challenge.local import add_local_crops

    training = [crop for crop in crops if crop.split == "train"]
    try:
        write_crop_manifest(paths.manifest, training)
        write_annotation_manifest(paths.train_manifest, training)
        write_annotation_manifest(paths.test_manifest, [crop for crop in crops if crop.split == "test"])
    except OSError as error:
        raise RefusedError(f"{paths.root} cannot be written: {error.strerror}", "make room") from None
    add_local_crops(paths.data_root, crops)
    for path in (paths.manifest, paths.train_manifest, paths.test_manifest):
        report.artefact(path, "manifest")


class _Counter:
    """Counts blocks, tells the reporter, and gives the user a say after each."""

    def __init__(self, total: int, report: Reporter) -> None:
        self._done = 0
        self._total = total
        self._report = report

    def add(self, blocks: int) -> None:
        self._done += blocks
        self._report.progress(self._done, self._total, "blocks")

    def step(self) -> None:
        self.add(1)
        self._report.checkpoint()


def _disk_usage(folder: Path) -> int:
    """Return the disk space of all files below a folder, in bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(-(-path.stat().st_size // _BLOCK_BYTES) * _BLOCK_BYTES for path in files)
