"""One class in one crop from paths to a score: what a worker process does.

Reads, aligns, masks and scores one pair within a memory limit. A pair that does not fit is scored from
files in memory, with the same result.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError
from cellmap_tui.scoring.alignment import aligned
from cellmap_tui.scoring.components import label_components, label_in_slabs
from cellmap_tui.scoring.instances import score_components
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.masks import Both, Known, Masked
from cellmap_tui.scoring.overlaps import truth_ids
from cellmap_tui.scoring.profiles import get_profile
from cellmap_tui.scoring.results import PairScore
from cellmap_tui.scoring.room import Room, planes_of, slabs, voxel_count
from cellmap_tui.scoring.semantic import score_semantic
from cellmap_tui.scoring.sources import open_source
from cellmap_tui.scoring.stored import open_stored
from cellmap_tui.scoring.stores import open_store
from cellmap_tui.text import triple

if TYPE_CHECKING:
    from cellmap_tui.scoring.alignment import Aligned
    from cellmap_tui.scoring.components import Labels
    from cellmap_tui.scoring.profiles import Profile, Scoring
    from cellmap_tui.scoring.sources import Source, Volume
    from cellmap_tui.scoring.submission import VolumeRef
    from cellmap_tui.volumes.arrays import Voxels

FIXED_BYTES = 300 * 2**20
"""What a worker needs whatever the pair: libraries, decoded chunks, blocks being resampled."""

OFFICIAL_BLOCK_VOXELS = 500 * 2**20 // 4
"""Predictions with more voxels are resampled by the official scorer in blocks that do not know each other."""


@dataclass(frozen=True, slots=True)
class PairRequest:
    """One class in one crop to be scored."""

    crop: str
    """Folder name of the crop, such as ``crop557``."""
    label: str
    """Name of the class."""
    scoring: Scoring
    """Object by object or voxel by voxel."""
    truth: VolumeRef
    """The truth: an array, or a group whose level of the crop's voxel size is read."""
    prediction: VolumeRef | None
    """The prediction; None: not submitted."""
    grid: Grid | None = None
    """Where the crop lies; None: as the truth says, which is enough for a missing prediction."""
    mask: VolumeRef | None = None
    """Array of the truth's shape; voxels where it is 0 are background on both sides."""
    unknown_value: int | None = None
    """Value of truth voxels that were not annotated; they are background on both sides."""
    dataset: str = ""
    """Dataset of the crop."""
    profile: str = "2026-06"
    """Name of the profile."""
    with_objects: bool = False
    """Whether to list the objects behind the numbers."""
    memory_limit_bytes: int | None = None
    """Memory that scoring this pair may take; None: as much as it needs."""
    scratch: str | None = None
    """Folder for files in memory; None: the system's folder for temporary files."""
    voxel_size_nm: tuple[float, float, float] | None = None
    """Voxel size of the prediction, in place of what it says."""
    translation_nm: tuple[float, float, float] | None = None
    """Translation of the prediction, in place of what it says."""
    limits: Limits = field(default_factory=Limits)
    """Limits of the official scorer."""


def score_pair(request: PairRequest) -> PairScore:
    """Score one class in one crop.

    Raises
    ------
    DataError
        If truth or prediction cannot be read, or do not fit each other; names the volume.
    MissingDataError
        If there is no array where one is expected.
    """
    started = time.perf_counter()
    profile = get_profile(request.profile)
    truth = _truth(request)
    grid = request.grid or _grid(truth)
    if request.prediction is None:
        score = _missing(request, profile, truth, grid)
    else:
        if truth.volume.shape != grid.shape:
            shapes = f"{triple(truth.volume.shape)} voxels, the crop has {triple(grid.shape)}"
            raise DataError(f"the truth {truth.name} has {shapes}", "check the manifest")
        score = _scored(request, profile, truth, grid)
    return replace(score, elapsed_s=time.perf_counter() - started)


def memory_bytes(request: PairRequest) -> int:
    """Return about how much memory scoring a pair takes when it is held in memory, reading metadata alone."""
    if request.prediction is None or request.scoring == "semantic":
        return FIXED_BYTES
    truth = _truth(request)
    prediction = _prediction(request, request.grid or _grid(truth))
    return _needed_bytes(request, truth.volume, prediction.volume)


def _needed_bytes(request: PairRequest, truth: Volume, prediction: Volume) -> int:
    """Return the memory for one side at a time, the components, and finding them."""
    voxel_bytes = max(truth.dtype.itemsize, prediction.dtype.itemsize) + 7
    if request.with_objects:
        voxel_bytes += prediction.dtype.itemsize
    return FIXED_BYTES + voxel_count(truth) * voxel_bytes


def _truth(request: PairRequest) -> Source:
    ref = request.truth
    size = request.grid.voxel_size_nm if request.grid is not None else (np.inf, np.inf, np.inf)
    return open_source(open_store(Path(ref.store), is_guarded=ref.is_guarded), ref.key, size)


def _prediction(request: PairRequest, grid: Grid) -> Source:
    ref = request.prediction
    if ref is None:
        raise AssertionError("a missing prediction has no source")
    source = open_source(open_store(Path(ref.store), is_guarded=ref.is_guarded), ref.key, grid.voxel_size_nm)
    if request.voxel_size_nm is not None:
        source = replace(source, voxel_size_nm=request.voxel_size_nm)
    if request.translation_nm is not None:
        source = replace(source, translation_nm=request.translation_nm)
    return source


def _grid(truth: Source) -> Grid:
    if truth.voxel_size_nm is None:
        raise DataError(f"the truth {truth.name} has no voxel_size", "write it into .zattrs")
    return Grid(truth.voxel_size_nm, truth.translation_nm or (0.0, 0.0, 0.0), truth.volume.shape)


def _missing(request: PairRequest, profile: Profile, truth: Source, grid: Grid) -> PairScore:
    """Return the score of a volume that was not submitted: worse than an empty one, but under `panoptic`."""
    voxels = voxel_count(truth.volume)
    size = truth.voxel_size_nm or grid.voxel_size_nm
    base = PairScore(
        request.crop, request.label, request.scoring, "missing", 0, 0, 0, voxels, size,
        is_missing=True, dataset=request.dataset, profile=profile.name,
    )  # fmt: skip
    if request.scoring == "instance":
        count = len(np.unique(np.concatenate([truth_ids(slab) for _, slab in slabs(truth.volume)])))
        return replace(base, fn=count, n_hausdorff=count, n_true=count, pq_fn=count)
    if profile.measure == "panoptic":
        expected = sum(int(np.count_nonzero(slab > 0)) for _, slab in slabs(truth.volume))
        return replace(base, fn=expected, n_true=expected, pq_fn=int(expected > 0))
    return replace(base, fn=voxels, pq_fn=1)


def _scored(request: PairRequest, profile: Profile, truth: Source, grid: Grid) -> PairScore:
    source = _prediction(request, grid)
    prediction = aligned(source, grid, request.scoring, request.limits)
    mask = _mask(request, truth.volume)
    base = PairScore(
        request.crop, request.label, request.scoring, "scored", 0, 0, 0, grid.voxels, grid.voxel_size_nm,
        dataset=request.dataset, profile=profile.name, warnings=_warnings(source, prediction, request),
    )  # fmt: skip
    if request.scoring == "semantic":
        return _semantic(base, truth.volume, prediction, mask)
    return _instance(request, profile, base, truth.volume, prediction, mask)


def _semantic(base: PairScore, truth: Volume, prediction: Volume, mask: Volume | None) -> PairScore:
    score = score_semantic(truth, prediction, mask=mask)
    is_pair = score.tp > 0 and score.iou > 0.5
    return replace(
        base,
        tp=score.tp,
        fp=score.fp,
        fn=score.fn,
        n_true=score.tp + score.fn,
        n_predicted=score.tp + score.fp,
        pq_tp=int(is_pair),
        pq_fp=int(not is_pair and score.tp + score.fp > 0),
        pq_fn=int(not is_pair and score.tp + score.fn > 0),
        pq_iou_sum=score.iou if is_pair else 0.0,
    )


def _instance(
    request: PairRequest, profile: Profile, base: PairScore, truth: Volume, prediction: Volume, mask: Volume | None
) -> PairScore:
    if mask is not None:
        truth, prediction = Masked(truth, mask), Masked(prediction, mask)
    limit = request.memory_limit_bytes
    in_files = limit is not None and limit < _needed_bytes(request, truth, prediction)
    with Room(in_files=in_files, scratch=request.scratch) as room:
        ids = room.loaded(prediction) if request.with_objects else None
        labels, count = _labelled(prediction, ids, room)
        score = score_components(
            room.loaded(truth), labels, count, base.voxel_size_nm, profile, limits=request.limits, ids=ids
        )
    return replace(
        base,
        status=score.status,
        tp=score.tp,
        fp=score.fp,
        fn=score.fn,
        hausdorff_norm_sum=score.hausdorff_norm_sum,
        n_hausdorff=score.n_hausdorff,
        n_true=score.n_true,
        n_predicted=score.n_predicted,
        matched_iou_sum=score.matched_iou_sum,
        pq_tp=score.pq_tp,
        pq_fp=score.n_predicted - score.pq_tp,
        pq_fn=score.n_true - score.pq_tp,
        pq_iou_sum=score.pq_iou_sum,
        warnings=base.warnings + score.warnings,
        objects=score.objects,
    )


def _labelled(prediction: Volume, ids: Voxels | None, room: Room) -> tuple[Labels, int]:
    if not room.in_files:
        return label_components(room.loaded(prediction) if ids is None else ids)
    labels = room.empty(prediction.shape, np.uint32)
    return labels, label_in_slabs(prediction, labels, planes_of(prediction))


def _mask(request: PairRequest, truth: Volume) -> Volume | None:
    known = None if request.unknown_value is None else Known(truth, request.unknown_value)
    if request.mask is None:
        return known
    array = open_stored(open_store(Path(request.mask.store)), request.mask.key)
    if array.shape != truth.shape:
        raise DataError(f"the mask {array.name} has {triple(array.shape)} voxels, the truth {triple(truth.shape)}")
    return array if known is None else Both(array, known)


def _warnings(source: Source, prediction: Aligned, request: PairRequest) -> tuple[str, ...]:
    """Return what the user should know about how a prediction was placed."""
    found = []
    if source.voxel_size_nm is None:
        found.append("has no voxel size: centred on the crop, cut or padded")
    if source.translation_nm is None:
        found.append("has no translation: taken to lie where the crop lies")
    is_resampled = prediction.volume is not source.volume
    if is_resampled and voxel_count(source.volume) > OFFICIAL_BLOCK_VOXELS:
        found.append("the official scorer resamples so large a volume in blocks and differs at their borders")
    if is_resampled and request.scoring == "instance" and source.volume.dtype.kind == "f":
        found.append("ids are floats, which resampling blurs: write them as integers")
    if not prediction.is_inside:
        found.append("lies outside the crop")
    return tuple(found)
