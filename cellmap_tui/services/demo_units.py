"""The units of the demo's data: the EM of a dataset, a training crop, the truth of a test crop.

A unit is built below ``.partial`` and renamed into the bucket, then copied into the data root: two
sets of files, so that work on the data never changes the bucket. Its bytes depend on seed, size and
its own name alone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import ALL_IDS, crop_path, em_path
from cellmap_tui.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.demo_cell import Scene
    from cellmap_tui.services.demo_plan import DatasetPlan
    from cellmap_tui.services.demo_root import DemoRoot

PLANES_AT_A_TIME = 8


class Sample:
    """A dataset with its scene, which is drawn when it is first needed."""

    def __init__(self, plan: DatasetPlan, seed: int, checkpoint: Callable[[], None]) -> None:
        self.plan = plan
        self.seed = seed
        self.checkpoint = checkpoint

    @cached_property
    def scene(self) -> Scene:
        """What lies where in the dataset."""
        import numpy as np

        from cellmap_tui.services.demo_placing import Amounts, build_scene

        density = self.plan.density
        amounts = Amounts(
            mito_chains=int(60 * density) + 2,
            vesicle_clusters=int(60 * density) + 3,
            others=int(18 * density) + 3,
            pores=120,
            body_scale=self.plan.body_scale,
        )
        rng = np.random.default_rng([self.seed, self.plan.number])
        return build_scene(self.plan.em_grid, amounts, rng, mirrored=self.plan.mirrored, checkpoint=self.checkpoint)


class Unit(Protocol):
    """A part of the demo that is made whole or not at all."""

    @property
    def name(self) -> str:
        """Name in the marker."""

    @property
    def blocks(self) -> int:
        """Number of steps that `make` reports."""

    def targets(self, paths: DemoRoot) -> tuple[Path, ...]:
        """Return the folders that exist when the unit is finished."""

    def make(self, paths: DemoRoot, step: Callable[[], None]) -> None:
        """Write the unit; call `step` after each block, which may raise."""


@dataclass(frozen=True)
class EmUnit:
    """The EM pyramid of a dataset."""

    sample: Sample

    @property
    def name(self) -> str:
        """Name in the marker."""
        return f"{self.sample.plan.name}/em"

    @property
    def blocks(self) -> int:
        """Slabs of planes."""
        return -(-self.sample.plan.em_grid.shape[0] // PLANES_AT_A_TIME)

    def targets(self, paths: DemoRoot) -> tuple[Path, ...]:
        """The group in the bucket and its copy in the data root."""
        return _twice(paths, em_path(self.sample.plan.name))

    def make(self, paths: DemoRoot, step: Callable[[], None]) -> None:
        """Render the volume slab by slab."""
        from cellmap_tui.services.demo_em import Microscope, render_em
        from cellmap_tui.volumes.write import MultiscaleWriter

        plan = self.sample.plan
        gain, offset, shot_noise, shading = plan.contrast
        microscope = Microscope(gain, offset, shot_noise, shading, (self.sample.seed, plan.number))
        place = em_path(plan.name)
        with MultiscaleWriter(paths.partial / place, plan.em_grid, "uint8", "em") as writer:
            for first in range(0, plan.em_grid.shape[0], PLANES_AT_A_TIME):
                slab = _planes(plan.em_grid, first, PLANES_AT_A_TIME)
                writer.write(first, render_em(self.sample.scene, slab, microscope, first))
                step()
            writer.finish(self.sample.checkpoint)
        _publish_twice(paths, place)


@dataclass(frozen=True)
class CropUnit:
    """The labels of a training crop."""

    sample: Sample
    crop: Crop

    @property
    def name(self) -> str:
        """Name in the marker."""
        return self.crop.ref

    @property
    def blocks(self) -> int:
        """Label volumes, and ``all``."""
        return len(self.crop.classes) + 1

    def targets(self, paths: DemoRoot) -> tuple[Path, ...]:
        """The crop's folder in the bucket and its copy in the data root."""
        return _twice(paths, crop_path(self.crop))

    def make(self, paths: DemoRoot, step: Callable[[], None]) -> None:
        """Write a pyramid per class."""
        from cellmap_tui.challenge.classes import builtin_classes
        from cellmap_tui.services.demo_labels import CropLabels
        from cellmap_tui.volumes.write import write_multiscale

        labels = CropLabels(self.sample.scene, self.crop.grid, builtin_classes())
        place = crop_path(self.crop)
        folder = paths.partial / place
        for name, array in labels.arrays(self.crop.classes):
            about = labels.annotation(name)
            attributes = {"cellmap": {"annotation": about}}
            write_multiscale(folder / name, array, self.crop.grid, kind="label", attributes=attributes)
            absent = {"complement_counts": {"absent": int((array == 0).sum())}}
            _write_attributes(folder / name / "s0", {**about, **absent})
            step()
        everything = labels.all_ids(self.crop.classes)
        write_multiscale(folder / ALL_IDS, everything, self.crop.grid, kind="label")
        _write_attributes(folder, _about_crop(self.crop))
        step()
        _publish_twice(paths, place)


@dataclass(frozen=True)
class TruthUnit:
    """The truth of a test crop: plain arrays in a store of its own, neither in the bucket nor in the data root."""

    sample: Sample
    crop: Crop

    @property
    def name(self) -> str:
        """Name in the marker."""
        return self.crop.ref

    @property
    def blocks(self) -> int:
        """Scored volumes."""
        return len(self.crop.classes)

    def targets(self, paths: DemoRoot) -> tuple[Path, ...]:
        """The crop's folder in the truth."""
        return (paths.truth / self.crop.name,)

    def make(self, paths: DemoRoot, step: Callable[[], None]) -> None:
        """Write an array per class."""
        from cellmap_tui.challenge.classes import builtin_classes
        from cellmap_tui.services.demo_labels import CropLabels
        from cellmap_tui.volumes.write import write_array

        labels = CropLabels(self.sample.scene, self.crop.grid, builtin_classes())
        built = paths.partial / paths.truth.name / self.crop.name
        shape = {"shape": list(self.crop.grid.shape)}
        for name, array in labels.arrays(self.crop.classes):
            write_array(built / name, array, self.crop.grid, attributes=shape)
            step()
        _move(built, paths.truth / self.crop.name, paths.partial, paths.truth.parent)


def units_of(sample: Sample) -> tuple[Unit, ...]:
    """Return everything to make for a dataset, in order."""
    crops = (CropUnit(sample, crop) for crop in sample.plan.training)
    truths = (TruthUnit(sample, crop) for crop in sample.plan.test)
    return (EmUnit(sample), *crops, *truths)


def _about_crop(crop: Crop) -> dict[str, Any]:
    """Return the attributes of a crop's group, with the keys that the challenge's own crops have."""
    unknown = dict.fromkeys(("start_date", "end_date", "duration_days", "protocol_uri"))
    return {
        "version": "0.1.1",
        "name": crop.name,
        "description": "synthetic cell of the demo",
        "created_by": [],
        "created_with": ["cellmap-tui demo"],
        **unknown,
        "class_names": list(crop.classes),
    }


def _write_attributes(folder: Path, annotation: dict[str, Any]) -> None:
    content = json.dumps({"cellmap": {"annotation": annotation}}, indent=1)
    try:
        (folder / ".zattrs").write_text(content, encoding="utf-8")
    except OSError as error:
        raise _cannot_write(folder, error) from None


def _planes(grid: Grid, first: int, count: int) -> Grid:
    z, y, x = grid.translation_nm
    depth = min(count, grid.shape[0] - first)
    return Grid(grid.voxel_size_nm, (z + first * grid.voxel_size_nm[0], y, x), (depth, *grid.shape[1:]))


def _twice(paths: DemoRoot, place: PurePosixPath) -> tuple[Path, ...]:
    return (paths.bucket / place, paths.data_root / place)


def _publish_twice(paths: DemoRoot, place: PurePosixPath) -> None:
    """Move a built folder into the bucket, and a copy of it into the data root."""
    built, copy = paths.partial / place, paths.partial / "copy" / place
    try:
        shutil.copytree(built, copy)
        for folder in built.relative_to(paths.partial).parents:
            group = paths.partial / folder / ".zgroup"
            if group.exists():
                shutil.copyfile(group, paths.partial / "copy" / folder / ".zgroup")
    except OSError as error:
        raise _cannot_write(paths.root, error) from None
    _move(built, paths.bucket / place, paths.partial, paths.bucket)
    _move(copy, paths.data_root / place, paths.partial / "copy", paths.data_root)


def _move(built: Path, target: Path, built_root: Path, target_root: Path) -> None:
    """Put a folder in its place, and the group files of the folders above it where they are missing."""
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in built.relative_to(built_root).parents:
            group = target_root / folder / ".zgroup"
            if (built_root / folder / ".zgroup").exists() and not group.exists():
                (built_root / folder / ".zgroup").replace(group)
        built.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from None


def _cannot_write(path: Path, error: OSError) -> RefusedError:
    return RefusedError(
        f"{path} cannot be written: {error.strerror or error}", "make room or choose another folder for the demo"
    )
