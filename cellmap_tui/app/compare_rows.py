"""Trainings side by side as rows: settings that differ, metrics, classes in pairs. No terminal.

Runs are called by their places, 1 and on; their names stand once, in `run_words`. The first is what the others are
compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellmap_tui.monitor.compare import BestEpoch, ClassRow, Comparison, ConfigRow, MetricRow, PairedDifference

ALONE = "one run alone: esc, then A (or space in the list) draws another over it"
NO_CONFIG = "no setting differs"
NO_CLASSES = "no class was validated"
NO_METRICS = "no metric was told"
SAME = 0.0005
"""Differences of Dice below are none at three decimals."""
_WIDE = 40


def config_columns(runs: int) -> tuple[Column[ConfigRow], ...]:
    """Return the columns of the settings that differ."""
    return (
        Column("key", "setting", 16, lambda row: row.key, max_width=34, sort_key=lambda row: row.key),
        *(
            Column(f"run{place}", str(place + 1), 10, _value_of(place), priority=_priority(place), max_width=_WIDE)
            for place in range(runs)
        ),
    )


def metric_columns(runs: int) -> tuple[Column[MetricRow], ...]:
    """Return the columns of the metrics: the best of each run, differences to the first, then the last."""
    return (
        Column("name", "metric", 14, lambda row: row.name, max_width=28, sort_key=lambda row: row.name),
        *(
            Column(f"best{place}", f"best {place + 1}", 9, _best_of(place), align="right", priority=_priority(place))
            for place in range(runs)
        ),
        *(
            Column(f"delta{place}", f"Δ {place + 1}", 11, _metric_delta(place), align="right",
                   priority=_priority(place), look=_metric_look(place))
            for place in range(1, runs)
        ),
        *(
            Column(f"last{place}", f"last {place + 1}", 9, _last_of(place), align="right", priority=runs + 2)
            for place in range(runs)
        ),
    )  # fmt: skip


def class_columns(runs: int) -> tuple[Column[ClassRow], ...]:
    """Return the columns of the classes at the best epoch of each run."""
    return (
        Column("name", "class", 14, lambda row: row.name, max_width=28, sort_key=lambda row: row.name),
        *(
            Column(f"dice{place}", f"Dice {place + 1}", 7, _dice_of(place), align="right", priority=_priority(place))
            for place in range(runs)
        ),
        *(
            Column(f"delta{place}", f"Δ {place + 1}", 9, _class_delta(place), align="right",
                   priority=_priority(place), look=_class_look(place),
                   sort_key=_class_order(place))
            for place in range(1, runs)
        ),
    )  # fmt: skip


def run_words(comparison: Comparison, colours: Sequence[str]) -> Content:
    """Return a line a run: its place, its name, its best epoch; and how its classes stand against the first.

    Parameters
    ----------
    comparison
        The runs.
    colours
        A colour for each, as its curves have.
    """
    lines: list[Content] = []
    paired = {pair.run: pair for pair in comparison.paired}
    for place, (name, best) in enumerate(zip(comparison.runs, comparison.best, strict=True)):
        words = f" {text.printable(name)}  {best_words(best)}"
        if name in paired:
            words += f"  {paired_words(paired[name])}"
        if best.time_s is not None:
            words += f"  after {text.duration(best.time_s)}"
        lines.append(Content.assemble((f"{place + 1}", f"bold {colours[place]}"), words))
    lines += [Content(f"{sign('warning')} {text.printable(warning)}") for warning in comparison.warnings]
    return Content("\n").join(lines)


def best_words(best: BestEpoch) -> str:
    """Return the best epoch of a run."""
    if best.value is None:
        return "nothing validated"
    where = f" at {best.epoch:.0f}" if best.epoch is not None else ""
    step = f", step {text.count(best.step)}" if best.step is not None and not where else ""
    done = f"/{best.epochs_done:.0f}" if best.epochs_done is not None and where else ""
    return f"{text.printable(best.metric.removeprefix('val/'))} {best.value:.3f}{where}{done}{step}"


def paired_words(pair: PairedDifference) -> str:
    """Return how the shared classes stand against the first run."""
    if not pair.classes or pair.mean is None:
        return "no class as 1"
    return f"{pair.better} better, {pair.worse} worse, {pair.mean:+.3f} over {pair.classes}"


def config_words(row: ConfigRow) -> str:
    """Return a setting with its whole values."""
    values = (
        f"{place} {'-' if value is None else text.printable(value)}"
        for place, value in enumerate(row.values, start=1)
    )
    return f"{text.printable(row.key)}: {'   '.join(values)}"


def figure(value: float | None) -> str:
    """Return a number in at most nine cells; ``-`` for none."""
    return "-" if value is None else f"{value:.4g}"


def _priority(place: int) -> int:
    """The first two runs stay; of the others the last leave first."""
    return max(0, place - 1)


def _value_of(place: int) -> Callable[[ConfigRow], str]:
    return lambda row: "-" if row.values[place] is None else str(row.values[place])


def _best_of(place: int) -> Callable[[MetricRow], str]:
    return lambda row: figure(row.best[place])


def _last_of(place: int) -> Callable[[MetricRow], str]:
    return lambda row: figure(row.last[place])


def _metric_delta(place: int) -> Callable[[MetricRow], str]:
    def words(row: MetricRow) -> str:
        delta = row.deltas[place - 1]
        if delta is None:
            return "-"
        return "0" if delta == 0 else f"{sign('up' if delta > 0 else 'down')} {delta:+.3g}"

    return words


def _metric_look(place: int) -> Callable[[MetricRow], str]:
    def look(row: MetricRow) -> str:
        delta = row.deltas[place - 1]
        if not delta or row.is_low_best is None:
            return ""
        return "good" if (delta < 0) == row.is_low_best else "bad"

    return look


def _dice_of(place: int) -> Callable[[ClassRow], str]:
    def words(row: ClassRow) -> str:
        value = row.values[place]
        return "-" if value is None else f"{value:.3f}"

    return words


def _class_delta(place: int) -> Callable[[ClassRow], str]:
    def words(row: ClassRow) -> str:
        delta = row.deltas[place - 1]
        if delta is None:
            return "-"
        return "0.000" if abs(delta) < SAME else f"{sign('up' if delta > 0 else 'down')} {delta:+.3f}"

    return words


def _class_order(place: int) -> Callable[[ClassRow], float]:
    return lambda row: row.deltas[place - 1] or 0.0


def _class_look(place: int) -> Callable[[ClassRow], str]:
    def look(row: ClassRow) -> str:
        delta = row.deltas[place - 1]
        return "" if delta is None or abs(delta) < SAME else "good" if delta > 0 else "bad"

    return look
