"""A training in this process: what the loop says goes to the run, what users ask goes to the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.services.report import asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank
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
    return validator_of(prepared.config, bank, prepared.card, loss=loss)


class ReportListener:
    """Hears the loop, tells the run.

    Parameters
    ----------
    prepared
        What is trained.
    report
        Who is told.
    """

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self._report = report
        self._columns = prepared.card.columns
        self._records: list[StepRecord] = []

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
        """Keep it until the device is done with it."""
        self._records.append(record)
        if len(self._records) >= 16:
            self.flush()

    def validated(self, epoch: int, step: int, values: Mapping[str, float], *, is_best: bool) -> None:
        """Tell what a validation found."""
        self.flush()
        self._report.metric(step, values, epoch)

    def epoch_ended(self, epoch: int, step: int) -> None:
        """Tell what is held back."""
        self.flush()

    def flush(self) -> None:
        """Tell the steps that are held back."""
        records, self._records = self._records, []
        for record in records:
            values = {"loss": float(record.loss), "lr": record.lr}
            self._report.metric(record.step, values, record.epoch)

    def close(self) -> None:
        """Tell what is held back."""
        self.flush()
