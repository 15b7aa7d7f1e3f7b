"""What a rule may look at: the metrics, the machine's readings, and what was planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.monitor.windows import Known, known, latest, points_of

if TYPE_CHECKING:
    from cellmap_tui.monitor.points import Points
    from cellmap_tui.monitor.series import RunSeries
    from cellmap_tui.monitor.source import RunFacts, Telemetry

_LOSSES = ("loss", "train/loss", "train_loss", "training_loss", "loss/train")


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that a run has told, as rules look at it."""

    series: RunSeries
    """Its metrics."""
    telemetry: Telemetry | None
    """Its machine; None: not known."""
    facts: RunFacts | None
    """What is planned and configured; None: not known."""

    def points(self, name: str) -> Points | None:
        """Return the whole history of a metric; None: never told."""
        return points_of(self.series, name)

    def known(self, name: str) -> Known:
        """Return the unbroken values of a metric, thinned where they are many."""
        return known(self.points(name))

    def latest(self, name: str) -> Known:
        """Return the last unbroken values of a metric."""
        return latest(self.points(name))

    @property
    def loss(self) -> str:
        """Name of the training loss, as this or another tool calls it; empty: there is none."""
        names = set(self.series.names())
        return next((name for name in _LOSSES if name in names), "")

    def setting(self, key: str) -> object:
        """Return what the training is configured with; None: nothing, or not known."""
        return None if self.facts is None else self.facts.config.get(key)

    @property
    def state(self) -> str:
        """Where the run stands, such as ``failed``; empty: a log of another tool, whose state nobody knows."""
        state = None if self.facts is None else self.facts.state
        return "" if state is None else state.state

    @property
    def is_live(self) -> bool:
        """Whether a job works on the run; logs of other tools, whose state nobody knows, count as live."""
        state = None if self.facts is None else self.facts.state
        return state is None or state.is_live

    @property
    def share_done(self) -> float | None:
        """Share of the planned steps that is done; None: no plan is known."""
        planned = None if self.facts is None else self.facts.planned_steps
        return None if not planned or self.last_step is None else self.last_step / planned

    @property
    def last_step(self) -> int | None:
        """Return the newest step; None: nothing was told yet."""
        return self.series.last_step

    def best_metric(self) -> tuple[str, bool]:
        """Return what makes an epoch the best, and whether lower is better; empty: nothing was validated."""
        configured = self.setting("best_metric")
        names = set(self.series.names())
        if isinstance(configured, str) and f"val/{configured}" in names:
            return f"val/{configured}", bool(self.setting("low_is_best"))
        for name, is_low in (("val/dice", False), ("val/loss", True), ("validation", True), ("val_loss", True)):
            if name in names:
                return name, is_low
        return "", False
