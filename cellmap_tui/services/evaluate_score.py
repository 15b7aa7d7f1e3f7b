"""One job in a worker process, and what is known of it beforehand: memory, time, objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.evaluate_pool import WORKER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.scoring.pairs import PairRequest
    from cellmap_tui.scoring.results import PairScore
    from cellmap_tui.services.evaluate_pairs import PairJob

SEMANTIC_VOXELS_PER_S = 120e6
INSTANCE_VOXELS_PER_S = 12e6
"""About what one processor scores a second, reading compressed chunks included."""
LEAST_BYTES = 100_000_000
"""What any pair takes beside the worker itself: decoded chunks and blocks."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a pair takes."""

    memory_bytes: int
    """Memory beside the worker itself."""
    elapsed_s: float
    """Time on one processor."""


def score_job(job: PairJob, tell: Callable[[float], None], *, with_objects: bool = False) -> PairScore:
    """Score one job.

    Parameters
    ----------
    job
        What to score.
    tell
        Told voxels that are done.
    with_objects
        Whether to list the objects behind the numbers.
    """
    from cellmap_tui.scoring.pairs import score_pair

    score = score_pair(pair_request(job, with_objects=with_objects))
    tell(job.grid.voxels)
    return score


def pair_request(job: PairJob, *, with_objects: bool = False) -> PairRequest:
    """Return a job as the scorer takes it."""
    from cellmap_tui.scoring.limits import Limits
    from cellmap_tui.scoring.pairs import PairRequest
    from cellmap_tui.scoring.submission import VolumeRef

    prediction = None
    if job.prediction is not None:
        prediction = VolumeRef(str(job.prediction), job.prediction_key, job.is_guarded)
    return PairRequest(
        crop=job.crop,
        label=job.label,
        scoring=job.scoring,
        truth=VolumeRef(str(job.truth), job.truth_key),
        prediction=prediction,
        grid=job.grid,
        mask=None if job.mask_key is None else VolumeRef(str(job.truth), job.mask_key),
        unknown_value=job.unknown_value,
        dataset=job.dataset,
        profile=job.profile,
        with_objects=with_objects,
        memory_limit_bytes=job.memory_limit_bytes,
        limits=Limits.from_environment(),
    )


def estimate(job: PairJob) -> Estimate:
    """Return what scoring a job takes, from metadata alone."""
    from cellmap_tui.scoring.pairs import memory_bytes

    rate = SEMANTIC_VOXELS_PER_S if job.scoring == "semantic" or job.is_missing else INSTANCE_VOXELS_PER_S
    try:
        needed = memory_bytes(pair_request(job))
    except CellmapError:  # told when it is scored
        needed = 0
    return Estimate(max(needed - WORKER_BYTES, LEAST_BYTES), job.grid.voxels / rate + 0.01)


def count_of_objects(job: PairJob) -> dict[str, Any]:
    """Return how many objects an instance pair has, and how many predicted ones are scored at most."""
    from cellmap_tui.scoring.limits import Limits

    try:
        ids = _ids(str(job.truth), job.truth_key)
        predicted = None if job.prediction is None else len(_ids(str(job.prediction), job.prediction_key))
    except CellmapError:  # told when it is scored
        return {}
    largest = max(ids, default=0)  # the largest id, not the number of ids: so does the official scorer
    most = int(Limits.from_environment().ratio_cutoff(largest) * largest) if ids else None
    return {"true_objects": len(ids), "predicted_objects": predicted, "most_objects": most}


def _ids(store: str, key: str) -> set[int]:
    """Return the ids of a volume, read slab by slab."""
    from pathlib import Path

    import numpy as np

    from cellmap_tui.scoring.sources import open_source
    from cellmap_tui.scoring.stores import open_store

    volume = open_source(open_store(Path(store)), key, (float("inf"),) * 3).volume
    depth, height, width = volume.shape
    step = max(1, 2**24 // max(1, height * width))
    ids: set[int] = set()
    for z in range(0, depth, step):
        values = np.unique(volume.read((z, 0, 0), (min(z + step, depth), height, width)))
        ids.update(int(value) for value in values if value > 0)
    return ids
