"""What an evaluation compared with the truth, plane by plane: predictions in place, as the scorer sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.volumes.planes import PixelPlane, PlaneCache, Sampled, sample

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.scoring.sources import Volume
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.evaluate_pairs import PairJob


class PredictedPlanes:
    """The volumes of one evaluation, opened when first asked for; used from one thread at a time.

    Parameters
    ----------
    request
        The evaluation.
    """

    def __init__(self, request: EvaluateRequest) -> None:
        self._request = request
        self._jobs: dict[str, PairJob] | None = None
        self._volumes: dict[str, Volume] = {}
        self._cache = PlaneCache()

    def classes_of(self, crop: str) -> tuple[str, ...]:
        """Return the classes of a crop, such as ``crop557``, that were predicted."""
        jobs = self._all_jobs().values()
        return tuple(job.label for job in jobs if job.crop == crop and job.prediction is not None)

    def prediction(self, pair: str, plane: PixelPlane) -> Sampled | None:
        """Return what was predicted at the pixels of a picture.

        Parameters
        ----------
        pair
            ``crop557/mito``.
        plane
            The pixels.

        Returns
        -------
        Sampled or None
            Values, 0 outside the crop; None where nothing was predicted.

        Raises
        ------
        CellmapError
            If the prediction cannot be found or read.
        """
        job = self._all_jobs().get(pair)
        if job is None or job.prediction is None:
            return None
        key = f"prediction {pair}"
        if key not in self._volumes:
            self._volumes[key] = self._aligned(job)
        return sample(self._cache, key, self._volumes[key], job.grid, plane)

    def truth(self, pair: str, plane: PixelPlane) -> Sampled | None:
        """Return what the truth holds at the pixels, on the voxels that are scored; None where the pair is none."""
        job = self._all_jobs().get(pair)
        if job is None:
            return None
        key = f"truth {pair}"
        if key not in self._volumes:
            from cellmap_tui.scoring.stored import open_stored
            from cellmap_tui.scoring.stored_planes import by_planes
            from cellmap_tui.scoring.stores import open_store

            self._volumes[key] = by_planes(open_stored(open_store(job.truth), job.truth_key))
        return without(job.unknown_value, sample(self._cache, key, self._volumes[key], job.grid, plane))

    def grid_of(self, pair: str) -> Grid | None:
        """Return the voxels on which a pair was scored."""
        job = self._all_jobs().get(pair)
        return None if job is None else job.grid

    def _all_jobs(self) -> dict[str, PairJob]:
        if self._jobs is None:
            from cellmap_tui.services.evaluate_plan import gather
            from cellmap_tui.services.report import SilentReporter

            jobs = gather(self._request, SilentReporter()).jobs
            self._jobs = {job.name: job for job in jobs if job.is_official}
        return self._jobs

    def _aligned(self, job: PairJob) -> Volume:
        from cellmap_tui.scoring.alignment import aligned
        from cellmap_tui.scoring.sources import open_source
        from cellmap_tui.scoring.stored_planes import by_planes
        from cellmap_tui.scoring.stores import open_store

        assert job.prediction is not None
        source = open_source(open_store(job.prediction), job.prediction_key, job.grid.voxel_size_nm)
        return by_planes(aligned(source, job.grid, job.scoring))


class EvaluatedCrop:
    """The volumes of one crop of an evaluation.

    Parameters
    ----------
    planes
        The evaluation.
    crop
        The crop, as results name it.
    """

    def __init__(self, planes: PredictedPlanes, crop: str) -> None:
        self._planes = planes
        self._crop = crop

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that were predicted; raises as `PredictedPlanes.prediction`."""
        return self._planes.classes_of(self._crop)

    def prediction(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what was predicted at each pixel."""
        return self._planes.prediction(f"{self._crop}/{label}", plane)

    def truth(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what the truth holds at each pixel."""
        return self._planes.truth(f"{self._crop}/{label}", plane)


def without(unknown_value: int | None, sampled: Sampled) -> Sampled:
    """Return what was sampled with the value that means "not annotated" taken out."""
    if unknown_value is None:
        return sampled
    unsure = sampled.values == unknown_value
    values = sampled.values.copy()
    values[unsure] = 0
    return replace(sampled, values=values, known=sampled.known & ~unsure)
