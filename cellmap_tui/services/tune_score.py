"""Trying recipes: labels of a candidate in memory, and the official score against the truth on disk.

A crop that does not fit is cut into no pieces: it is processed and scored by way of files, as `process` and
`evaluate` do.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, MissingDataError
from cellmap_tui.services.process_class import carry_out
from cellmap_tui.services.process_sources import find_core, find_named, open_prediction
from cellmap_tui.services.process_volume import VolumeJob, inputs_for, write_labels
from cellmap_tui.services.tune_recipes import Candidate, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.scoring.aggregate import ClassScore
    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.evaluate_targets import Target
    from cellmap_tui.services.process_class import Inputs
    from cellmap_tui.services.process_recipe import ClassRecipe, Kind
    from cellmap_tui.services.tune_kept import KeptTries

IN_MEMORY_VOXELS = 60_000_000
"""Predictions with more voxels go by way of files."""


@dataclass(frozen=True, slots=True)
class Place:
    """One class of one crop with its truth."""

    target: Target
    """Crop, class and truth."""
    kind: Kind
    """How it is scored."""
    unknown_value: int | None
    """Value of truth voxels that were not annotated."""

    @property
    def crop(self) -> Crop:
        """The crop."""
        return self.target.crop


class Scorer:
    """Scores candidates of one class; every pair of candidate and crop once.

    Parameters
    ----------
    start
        Recipe that tuning started from.
    profile
        Name of the scoring rules.
    memory_bytes
        Memory for voxels.
    checkpoint
        Called between crops; may raise to give up.
    warn
        Told what cannot be scored.
    kept
        Scores of earlier tunings; None: nothing is kept.
    """

    def __init__(
        self,
        start: ClassRecipe,
        profile: str,
        memory_bytes: int,
        checkpoint: Callable[[], None],
        warn: Callable[[str], None],
        kept: KeptTries | None = None,
    ) -> None:
        self._start = start
        self._profile = profile
        self._memory_bytes = memory_bytes
        self._checkpoint = checkpoint
        self._warn = warn
        self._kept = kept
        self._pairs: dict[tuple[Candidate, str], PairScore] = {}
        self._held: dict[tuple[str, str], tuple[VolumeJob, Inputs]] = {}

    def score(self, candidate: Candidate, places: Iterable[Place]) -> ClassScore | None:
        """Return the official score of a candidate over crops; None where there is none.

        Raises
        ------
        CellmapError
            If a prediction or truth cannot be read.
        """
        from cellmap_tui.scoring.aggregate import aggregate
        from cellmap_tui.scoring.profiles import get_profile

        pairs = [self._pair(candidate, place) for place in places]
        if not pairs or all(pair.is_skipped for pair in pairs):
            return None
        return aggregate(pairs, get_profile(self._profile)).classes[0]

    def forget(self) -> None:
        """Let go of predictions that were held in memory."""
        self._held.clear()

    def _pair(self, candidate: Candidate, place: Place) -> PairScore:
        key = (candidate, place.crop.ref)
        if key not in self._pairs:
            self._checkpoint()
            self._pairs[key] = self._known(candidate, place) or self._scored(candidate, place)
        return self._pairs[key]

    def _known(self, candidate: Candidate, place: Place) -> PairScore | None:
        return None if self._kept is None else self._kept.get(candidate, place)

    def _scored(self, candidate: Candidate, place: Place) -> PairScore:
        from cellmap_tui.scoring.pairs import PairRequest, score_pair
        from cellmap_tui.scoring.submission import VolumeRef

        job, inputs = self._inputs(candidate.run, place)
        recipe = recipe_of(candidate, self._start, None)
        with tempfile.TemporaryDirectory(prefix="cellmap-tui-tune-", dir=_memory_folder(job)) as folder:
            job = replace(job, recipe=recipe, output=Path(folder) / "labels.zarr" / place.target.label)
            self._write(job, inputs, Path(folder))
            truth = place.target.truth
            request = PairRequest(
                crop=place.target.name,
                label=place.target.label,
                scoring=place.kind,
                truth=VolumeRef(str(_truth_level(truth).parent), _truth_level(truth).name),
                prediction=VolumeRef(str(job.output.parent), job.output.name),
                grid=_truth_grid(truth),
                unknown_value=place.unknown_value,
                dataset=place.crop.dataset,
                profile=self._profile,
                memory_limit_bytes=self._memory_bytes,
            )
            score = score_pair(request)
        if self._kept is not None:
            self._kept.put(candidate, place, score)
        return score

    def _write(self, job: VolumeJob, inputs: Inputs, folder: Path) -> None:
        from cellmap_tui.volumes.blocks import Workspace, block_for

        is_small = job.grid.voxels <= IN_MEMORY_VOXELS
        work = Workspace(
            None if is_small else folder / "work", block_for(self._memory_bytes, 1), checkpoint=self._checkpoint
        )
        write_labels(carry_out(job.recipe, inputs, work), job, work, overwrite=False)

    def _inputs(self, run: str, place: Place) -> tuple[VolumeJob, Inputs]:
        """Return a class of a crop with its probabilities in memory, where they fit."""
        key = (run, place.crop.ref)
        if key not in self._held:
            job = job_of(run, place, self._start)
            inputs = inputs_for(job, warn=self._warn, memory_bytes=self._memory_bytes)
            self._held[key] = (job, _held(inputs, job, self._memory_bytes - self._held_bytes()))
        return self._held[key]

    def _held_bytes(self) -> int:
        return sum(job.grid.voxels * 8 for job, _ in self._held.values())


def job_of(run: str, place: Place, start: ClassRecipe) -> VolumeJob:
    """Return what would be processed of a class in a run.

    Raises
    ------
    MissingDataError
        If it is not predicted there.
    """
    name = start.source or place.target.label
    path = find_named(run, place.crop, name)
    if path is None:
        raise MissingDataError(f"{run} has no prediction of {name} for {place.crop.ref}", "predict the crop first")
    prediction = open_prediction(path, name)
    return VolumeJob(place.crop, place.target.label, start, run, prediction, prediction.level.grid, path, "tune")


def has_core(run: str, crop: Crop, label: str) -> bool:
    """Return whether a run predicted the core of a class in a crop."""
    return find_core(run, crop, label) is not None


def place_of(target: Target, kind: Kind) -> Place:
    """Return a target with what its truth says about itself.

    Raises
    ------
    CellmapError
        If the truth cannot be read.
    """
    from cellmap_tui.volumes.annotation import read_annotation
    from cellmap_tui.volumes.ngff import open_volume

    return Place(target, kind, read_annotation(open_volume(target.truth)).unknown_value)


def _held(inputs: Inputs, job: VolumeJob, room_bytes: int) -> Inputs:
    """Return inputs with probabilities in memory; as they are where that is too much."""
    from cellmap_tui.volumes.blocks import Held
    from cellmap_tui.volumes.geometry import whole

    if inputs.probability is None or job.grid.voxels * 8 > room_bytes:
        return inputs
    box = whole(job.grid)
    cores: dict[str | None, Held | None] = {}

    def core(name: str | None) -> Held | None:
        if name not in cores:
            found = inputs.core(name)
            cores[name] = None if found is None else Held(found.read(box))
        return cores[name]

    return replace(inputs, probability=Held(inputs.probability.read(box)), core=core)


def _memory_folder(job: VolumeJob) -> str | None:
    """Return a folder in memory for the labels of a small crop; None: the usual place for temporary files."""
    import shutil

    folder = Path("/dev/shm")  # noqa: S108 - only asked whether it is there; the files in it have random names
    if job.grid.voxels > IN_MEMORY_VOXELS or not folder.is_dir():
        return None
    return str(folder) if shutil.disk_usage(folder).free > job.grid.voxels * 8 else None


def _truth_level(truth: Path) -> Path:
    from cellmap_tui.volumes.ngff import open_volume

    return open_volume(truth).finest.path


def _truth_grid(truth: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from cellmap_tui.volumes.ngff import open_volume

    return open_volume(truth).finest.grid


def problem_of(error: CellmapError) -> str:
    """Return an error in one line."""
    return f"{error.message}{f' ({error.remedy})' if error.remedy else ''}"
