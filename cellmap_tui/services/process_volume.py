"""One class of one crop from its prediction to labels on disk, going on where a killed attempt was."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import DataError, MissingDataError, RefusedError
from cellmap_tui.services.process_class import Inputs, carry_out
from cellmap_tui.services.process_model import ProcessedVolume
from cellmap_tui.services.process_sources import (
    Prediction,
    check_same_grid,
    find_core,
    find_named,
    missing_core,
    open_prediction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.process_class import Carried
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.volumes.blocks import Readable, Workspace

FORMAT = 1
"""Changes whenever the same recipe would give other labels."""
SLAB_BYTES = 96 * 2**20
"""Largest slab that is read and written at once at the end."""


@dataclass(frozen=True, slots=True)
class VolumeJob:
    """One class of one crop to be processed."""

    crop: Crop
    """The crop."""
    label: str
    """The class."""
    recipe: ClassRecipe
    """Its steps."""
    place: str
    """Folder or template of its predictions."""
    prediction: Prediction | None
    """Where it starts; None where it starts from other classes."""
    grid: Grid
    """Where its voxels lie."""
    output: Path
    """Where the labels go."""
    key: str
    """Of everything that decides the labels."""
    members: tuple[str, ...] = ()
    """Classes that it is made of, where it is a group."""

    @property
    def name(self) -> str:
        """Crop and class, for people."""
        return f"{self.crop.ref}/{self.label}"

    @property
    def work_folder(self) -> Path:
        """Where volumes in between are kept."""
        return self.output.with_name(f".{self.label}.process")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    dtype: str
    """Type of the voxels."""
    objects: int | None
    """Objects; None of a mask."""
    foreground: int
    """Voxels of the class."""


def job_key(recipe: ClassRecipe, *parts: str) -> str:
    """Return what tells these labels from those of another recipe or prediction."""
    told = [FORMAT, recipe.words, [dict(step.options) for step in recipe.steps], recipe.source, *parts]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def key_of(path: Path) -> str | None:
    """Return the key of the labels that lie at a path; None where they say none."""
    try:
        attributes = json.loads((path / ".zattrs").read_bytes())
        found = attributes["cellmap_tui"]["process"]["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def inputs_for(job: VolumeJob, *, warn: Callable[[str], None], memory_bytes: int) -> Inputs:
    """Return what the steps of a class read.

    Raises
    ------
    CellmapError
        When a step asks for what is not there, or for voxels that lie elsewhere.
    """
    by_sigmoid = any(step.name == "sigmoid" for step in job.recipe.steps)

    def probability(prediction: Prediction) -> Readable:
        from cellmap_tui.volumes.voxel_steps import stepped

        check_same_grid(job.grid, prediction.level.grid, f"{job.name} and {prediction.label}")
        return stepped(prediction.opened(), prediction.to_probability(by_sigmoid=by_sigmoid))

    def core(name: str | None) -> Readable | None:
        place = find_core(job.place, job.crop, job.label) if name is None else find_named(job.place, job.crop, name)
        if place is None:
            if name is not None or not may_lack_core(job.recipe):
                raise missing_core(job.place, job.crop, job.label)
            return None
        return probability(open_prediction(place, name or f"{job.label}/core"))

    def other(name: str) -> Readable:
        place = find_named(job.place, job.crop, name)
        if place is None:
            raise MissingDataError(f"{job.crop.ref} has no prediction of {name} in {job.place}", "predict it first")
        return probability(open_prediction(place, name))

    def labels(name: str) -> Readable:
        return _labels(job, name)

    own = None if job.prediction is None else probability(job.prediction)
    return Inputs(job.grid, own, core, other, labels, job.members, memory_bytes, warn)


def process_volume(job: VolumeJob, work: Workspace, inputs: Inputs, *, overwrite: bool) -> Written:
    """Carry out the recipe of a class and write its labels.

    Raises
    ------
    CellmapError
        If a prediction is not there, is broken or does not fit, or the disk is full.
    """
    carried = carry_out(job.recipe, inputs, work)
    return write_labels(carried, job, work, overwrite=overwrite)


def write_labels(carried: Carried, job: VolumeJob, work: Workspace, *, overwrite: bool) -> Written:
    """Write a mask or objects as a multiscale group of the narrowest type."""
    import numpy as np

    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.write import MultiscaleWriter

    count = None if carried.objects is None else carried.objects.count
    dtype = np.dtype(np.uint8) if count is None else np.min_scalar_type(max(count, 1))
    depth, height, width = job.grid.shape
    slab = max(1, min(64, SLAB_BYTES // (height * width * 4)))
    foreground = 0
    attributes = attributes_of(job, count)
    with MultiscaleWriter(
        job.output,
        job.grid,
        dtype,
        "label",
        attributes=attributes,
        overwrite=overwrite or key_of(job.output) == job.key,
    ) as writer:
        for z in range(0, depth, slab):
            work.checkpoint()
            box = Box((z, 0, 0), (min(z + slab, depth), height, width))
            values = carried.volume.read(box)
            values = (values != 0).astype(np.uint8) if count is None else values.astype(dtype, copy=False)
            foreground += int(np.count_nonzero(values))
            writer.write(z, values)
            work.advance(box.voxels)
        writer.finish(work.checkpoint)
    return Written(dtype.name, count, foreground)


def attributes_of(job: VolumeJob, objects: int | None) -> dict[str, Any]:
    """Return what labels say about how they were made."""
    told = {
        "key": job.key,
        "recipe": job.recipe.words,
        "prediction": None if job.prediction is None else str(job.prediction.path),
        "kind": "semantic" if objects is None else "instance",
    }
    return {"cellmap_tui": {"process": {**told, "objects": objects}}}


def told_of(job: VolumeJob) -> ProcessedVolume:
    """Return labels that are there already, by what they say about themselves."""
    found = open_prediction(job.output, job.label)
    told = json.loads((job.output / ".zattrs").read_bytes())["cellmap_tui"]["process"]
    kind: Literal["instance", "semantic"] = "instance" if told.get("kind") == "instance" else "semantic"
    name = found.level.dtype.name
    return ProcessedVolume(
        job.crop.ref, job.label, job.output, kind, name, told.get("objects"), None, job.grid.voxels, kept=True
    )


@contextmanager
def work_folder(job: VolumeJob) -> Iterator[Path]:
    """Hold the folder of volumes in between: emptied where it belongs to another recipe or prediction.

    Raises
    ------
    RefusedError
        If another process works on the same labels, or the folder cannot be written.
    """
    import shutil

    folder = job.work_folder
    held: IO[bytes] | None = None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = (folder / "lock").open("ab")
        except OSError as error:
            raise RefusedError(
                f"{folder.parent} cannot be written: {error.strerror}", "write elsewhere with --output-path"
            ) from None
        _lock(held, job)
        if _read(folder / "key") != job.key:
            for entry in folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
            (folder / "key").write_text(job.key, encoding="ascii")
        yield folder
    finally:
        if held is not None:
            held.close()


def _lock(held: IO[bytes], job: VolumeJob) -> None:
    import fcntl

    try:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RefusedError(
            f"another process works on {job.output}", "wait for it, or write elsewhere with --output-path"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def may_lack_core(recipe: ClassRecipe) -> bool:
    """Return whether a recipe does without cores where none are predicted."""
    return all(step["missing"] == "components" for step in recipe.steps if step.name == "cores")


def _labels(job: VolumeJob, name: str) -> Readable:
    """Return the labels of another class of the same crop."""
    path = job.output.with_name(name)
    if not path.is_dir():
        raise MissingDataError(
            f"{job.crop.ref} has no labels of {name}, which {job.label} needs", f"process {name} too"
        )
    try:
        found = open_prediction(path, name)
    except DataError as error:
        raise DataError(f"labels of {name}: {error.message}", error.remedy) from None
    check_same_grid(job.grid, found.level.grid, f"{job.name} and the labels of {name}")
    return found.opened()
