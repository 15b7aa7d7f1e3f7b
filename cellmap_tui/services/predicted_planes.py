"""What an evaluation compared with the truth, plane by plane: predictions in place, as the scorer sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.evaluate_pairs import PairJob


class PredictedPlanes:
    """The predictions of one evaluation, opened when first asked for; used from one thread at a time.

    Parameters
    ----------
    request
        The evaluation.
    """

    def __init__(self, request: EvaluateRequest) -> None:
        self._request = request
        self._jobs: dict[str, PairJob] | None = None
        self._opened: tuple[str, Any] | None = None

    def sample(
        self, pair: str, axis: int, at_nm: float, down_nm: Sequence[float], across_nm: Sequence[float]
    ) -> NDArray[np.generic] | None:
        """Return what was predicted at the positions of a plane's pixels.

        Parameters
        ----------
        pair
            ``crop557/mito``.
        axis
            Axis across the plane: 0 z, 1 y, 2 x.
        at_nm
            Where the plane lies on that axis.
        down_nm, across_nm
            Positions of the rows and of the columns.

        Returns
        -------
        NDArray or None
            Values ``[rows, columns]``, 0 outside the crop; None where nothing was predicted.

        Raises
        ------
        CellmapError
            If the prediction cannot be found or read.
        """
        import numpy as np  # with the scorer 0.3 s, at the first slice that is looked at

        job = self._job(pair)
        if job is None or job.prediction is None:
            return None
        index = _indices(job.grid, axis, [at_nm])[0]
        plane = (1, 2), (0, 2), (0, 1)
        rows, columns = (
            _indices(job.grid, on, positions) for on, positions in zip(plane[axis], (down_nm, across_nm), strict=True)
        )
        start, stop = [0, 0, 0], list(job.grid.shape)
        start[axis], stop[axis] = index, index + 1
        if not 0 <= index < job.grid.shape[axis]:
            return np.zeros((len(rows), len(columns)), np.bool_)
        read = np.take(self._aligned(job).read(tuple(start), tuple(stop)), 0, axis=axis)
        values = np.zeros((len(rows), len(columns)), read.dtype)
        in_rows, in_columns = (rows >= 0) & (rows < read.shape[0]), (columns >= 0) & (columns < read.shape[1])
        values[np.ix_(in_rows, in_columns)] = read[np.ix_(rows[in_rows], columns[in_columns])]
        return values

    def _job(self, pair: str) -> PairJob | None:
        if self._jobs is None:
            from cellmap_tui.services.evaluate_plan import gather
            from cellmap_tui.services.report import SilentReporter

            jobs = gather(self._request, SilentReporter()).jobs
            self._jobs = {job.name: job for job in jobs if job.is_official}
        return self._jobs.get(pair)

    def _aligned(self, job: PairJob) -> Any:
        if self._opened is None or self._opened[0] != job.name:
            from cellmap_tui.scoring.alignment import aligned
            from cellmap_tui.scoring.sources import open_source
            from cellmap_tui.scoring.stores import open_store

            assert job.prediction is not None
            source = open_source(open_store(job.prediction), job.prediction_key, job.grid.voxel_size_nm)
            self._opened = (job.name, aligned(source, job.grid, job.scoring))
        return self._opened[1]


def _indices(grid: Grid, axis: int, positions_nm: Sequence[float]) -> NDArray[np.int64]:
    """Return the voxel of a grid's axis at each position; outside of it, one that does not exist."""
    import numpy as np

    offset_nm = np.asarray(positions_nm, np.float64) - grid.translation_nm[axis]
    return np.floor(offset_nm / grid.voxel_size_nm[axis] + 0.5).astype(np.int64)
