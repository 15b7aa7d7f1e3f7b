"""The official score within training: thresholded predictions of the validation crops, scored as `evaluate` does."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.train_prepare import SPLIT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cellmap_tui.learning.em_reader import CropReader
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import Prepared
    from cellmap_tui.volumes.geometry import Box

THRESHOLD = 0.5
"""Probability from which a voxel is taken to be of a class."""


class _Alive(SilentReporter):
    """Passes on how far a score is and that the user wants it stopped; what else it says is no news of a training."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass it on, as what is left of a validation: ``pairs to score``."""
        self._report.progress(done, total, f"{unit} to score")

    def checkpoint(self) -> None:
        """Pass it on."""
        self._report.checkpoint()


def scorer_for(
    prepared: Prepared, request: TrainRequest, report: Reporter
) -> Callable[[int], ValidationScorer | None] | None:
    """Return what makes a scorer at the epochs that are scored; None: no epoch is."""
    every = request.score_every
    if every is None:
        return None

    def at_epoch(epoch: int) -> ValidationScorer | None:
        is_due = epoch % every == 0 or epoch == prepared.config.epochs
        return ValidationScorer(prepared, request, report) if is_due else None

    return at_epoch


@dataclass(slots=True, eq=False)
class ValidationScorer:
    """Keeps thresholded predictions on disk while a validation makes them, then scores them."""

    prepared: Prepared
    """What is trained."""
    request: TrainRequest
    """By which rules."""
    report: Reporter
    """Hears why a score could not be made."""
    _place: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cellmap-tui-score-")))
    _present: NDArray[np.uint8] | None = None

    def block(self, reader: CropReader, box: Box, probabilities: Any) -> None:
        """Take a block of a crop, ``[columns, z, y, x]``."""
        import numpy as np

        if self._present is None:
            self._present = np.zeros((len(self.prepared.card.columns), *reader.shape), np.uint8)
        self._present[(slice(None), *box.slices)] = (probabilities >= THRESHOLD).cpu().numpy()

    def crop_ended(self, reader: CropReader) -> None:
        """Write a crop: one array a class."""
        from cellmap_tui.learning.codebook import CORE
        from cellmap_tui.volumes.write import write_array

        present, self._present = self._present, None
        if present is None:
            return
        dataset, _, crop = reader.crop.ref.partition("/")
        for number, name in enumerate(self.prepared.card.columns):
            if not name.endswith(CORE):
                write_array(self._place / f"{dataset}.zarr" / crop / name, present[number], reader.grid)

    def values(self) -> Mapping[str, float]:
        """Return ``val/score`` and ``val/score/<class>``; nothing where it cannot be made, with a warning."""
        from cellmap_tui.services.evaluate import evaluate
        from cellmap_tui.services.evaluate_model import EvaluateRequest

        try:
            scored = evaluate(
                EvaluateRequest(
                    predictions=str(self._place / "{dataset}.zarr" / "{crop}" / "{label}"),
                    datasplit=self.prepared.folder / SPLIT_NAME,
                    profile=self.request.score_profile,
                    workers=0,
                    store=self._place / "pairs",
                    data_root=self.request.data_root,
                    state_dir=self.request.state_dir,
                ),
                _Alive(self.report),
            )
        except Stopped:
            raise
        except CellmapError as error:
            self.report.warning(f"no score of the validation crops: {error}")
            return {}
        finally:
            shutil.rmtree(self._place, ignore_errors=True)
        # Classes of one kind alone have no overall score, and a class that was skipped has none either.
        rows = [row for row in scored.classes if row.crops]
        by_kind = {"instance": scored.overall_instance_score, "semantic": scored.overall_semantic_score}
        kinds = {row.kind for row in rows}
        total = scored.overall_score if len(kinds) == 2 else by_kind[kinds.pop()] if kinds else None
        values: dict[str, float | None] = {"val/score": total}
        values |= {f"val/score/{row.label}": row.score for row in rows}
        return {name: float(value) for name, value in values.items() if value is not None}
