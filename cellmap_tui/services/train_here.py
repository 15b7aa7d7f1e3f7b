"""A training in this process: what the loop says goes to the run, what users ask goes to the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.services.report import asked
from cellmap_tui.services.train_score import scorer_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.metric_feed import MetricFeed
    from cellmap_tui.learning.tensorboard_writer import TensorBoardWriter
    from cellmap_tui.learning.train_listener import AskLike, StepRecord, TrainOutcome, Validate
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import Prepared


def train_here(
    prepared: Prepared, bank: Bank, request: TrainRequest, report: Reporter, objects: Mapping[str, Any]
) -> TrainOutcome:
    """Train in this process; raises as `learning.train_loop.train`."""
    from cellmap_tui.learning.train_loop import train

    listener = ReportListener(prepared, report)
    try:
        return train(
            prepared.config,
            bank,
            prepared.card,
            prepared.folder,
            listener,
            validate=_validator(prepared, bank, request, report, objects),
            objects=objects,
            init_from=request.init_from,
            resume=True,
        )
    finally:
        listener.close()


def _validator(
    prepared: Prepared, bank: Bank, request: TrainRequest, report: Reporter, objects: Mapping[str, Any]
) -> Validate | None:
    """Return what measures the network; None: nothing is known in any validation crop."""
    if not any(crop.counts[:, :2].any() for crop in bank.of_usage("validate")):
        return None
    import numpy as np

    from cellmap_tui.learning.loss_build import build_loss
    from cellmap_tui.learning.losses import pos_weight_of
    from cellmap_tui.learning.validator import validator_of

    counts = np.stack([crop.counts for crop in bank.of_usage("train")])
    loss = build_loss(prepared.config, pos_weight=pos_weight_of(counts), criterion=objects.get("criterion"))
    scorer = scorer_for(prepared, request, report)
    return validator_of(prepared.config, bank, prepared.card, loss=loss, scorer=scorer)


class ReportListener:
    """Hears the loop, tells the run and TensorBoard.

    Parameters
    ----------
    prepared
        What is trained.
    report
        Who is told.
    """

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self._prepared, self._report = prepared, report
        self._feed: MetricFeed | None = None
        self._writer: TensorBoardWriter | None = None

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass it on."""
        self._report.progress(done, total, unit)

    def note(self, message: str) -> None:
        """Pass it on."""
        self._report.note(message)

    def warning(self, message: str) -> None:
        """Pass it on."""
        self._report.warning(message)

    def checkpoint(self) -> None:
        """Pass it on."""
        self._report.checkpoint()

    def artefact(self, path: Path, kind: str) -> None:
        """Pass it on."""
        self._report.artefact(path, kind)

    def asked(self) -> Sequence[AskLike]:
        """Return what users asked."""
        return asked(self._report)

    def step(self, record: StepRecord) -> None:
        """Pass it on when the device is done with it."""
        if self._feed is None:
            self._feed = self._opened(record.step, record.loss.device)
        self._feed.step(record)

    def validating(self) -> None:
        """Tell the steps that are held back: a validation may take minutes."""
        if self._feed is not None:
            self._feed.flush()

    def validated(self, epoch: int, step: int, values: Mapping[str, float], *, is_best: bool) -> None:
        """Tell what a validation found."""
        from cellmap_tui.learning.samples import sample_folder

        if self._feed is None:
            self._feed = self._opened(step + 1, "cpu")  # the step itself was told before the run was cut off
        samples = sorted(sample_folder(self._prepared.folder, epoch).glob("*.npz"))
        self._feed.validated(epoch, step, values, samples)
        dice = values.get("val/dice")
        if is_best and dice is not None:
            self._report.note(f"epoch {epoch} is the best so far: mean Dice {dice:.3f}")

    def epoch_ended(self, epoch: int, step: int) -> None:
        """Tell what is held back."""
        if self._feed is not None:
            self._feed.epoch_ended(epoch, step)

    def close(self) -> None:
        """Tell what is held back, and end the event file."""
        if self._feed is not None:
            self._feed.flush()
        if self._writer is not None:
            self._writer.close()
            if self._writer.failure:
                self._report.warning(f"TensorBoard's events are not complete: {self._writer.failure}")

    def _opened(self, step: int, device: torch.device | str) -> MetricFeed:
        from cellmap_tui.learning.metric_feed import MetricFeed
        from cellmap_tui.learning.tensorboard_writer import TensorBoardWriter

        config = self._prepared.config
        place = self._prepared.folder / config.logs_save_path.replace("{model_name}", config.model_name)
        # Steps after the checkpoint that an earlier part of the run told of are told again.
        self._writer = TensorBoardWriter(place, purge_step=step if self._prepared.is_resumed else None)
        return MetricFeed(self._prepared.card.columns, self._report.metric, device, writer=self._writer)
