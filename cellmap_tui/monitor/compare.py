"""Trainings side by side: configuration, metrics, best epochs, and classes in pairs, each against the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import RequestError
from cellmap_tui.monitor.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.monitor.source import Source

CLASS_METRIC = "val/dice/"
"""What classes are compared by."""
EQUAL_DICE = 0.001
"""Two values of a class that differ by no more are equal."""
_OF_CLASSES = ("loss/", *(f"val/{what}/" for what in ("dice", "iou", "precision", "recall", "loss", "score")))
_MUST_AGREE = {
    **dict.fromkeys(("datasplit_path", "input_array_info", "target_array_info", "ignore_padding"), "the numbers do"),
    **dict.fromkeys(("loss", "criterion", "weight_loss"), "the losses do"),
}
"""Keys in which trainings must agree for their numbers to compare, and which do not compare else."""


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A key of the configuration in which the trainings differ."""

    key: str
    """Name of the key."""
    values: tuple[str | None, ...]
    """Its value in each training, as text; None: it has none, or it is not known."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric in every training; None: never told, or nothing but broken numbers."""

    name: str
    """Name of the metric."""
    last: tuple[float | None, ...]
    """The last value."""
    best: tuple[float | None, ...]
    """The best value: lowest of losses, highest of Dice and its kin; the last of what is neither."""
    deltas: tuple[float | None, ...]
    """Best value less the first training's, for each training but the first."""
    is_low_best: bool | None
    """Whether lower is better; None: neither."""


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The best epoch of one training."""

    run: str
    """The training."""
    metric: str
    """What makes it the best; empty: nothing was validated."""
    value: float | None
    """Its value there."""
    epoch: float | None
    """The epoch; None where the log has no epochs."""
    step: int | None
    """The step."""
    time_s: float | None
    """Seconds from the start of the training; None: not known."""
    epochs_done: float | None
    """Epochs that the training has done."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class at the best epoch of every training."""

    name: str
    """The class."""
    values: tuple[float | None, ...]
    """Its Dice in each; None: not validated."""
    deltas: tuple[float | None, ...]
    """The difference to the first, for each but the first."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The classes that two trainings share, in pairs."""

    run: str
    """The training that is compared with the first."""
    classes: int
    """Classes that both validated."""
    better: int
    """Classes that are better in it, by more than a thousandth."""
    worse: int
    """Classes that are worse in it, likewise."""
    mean: float | None
    """Mean difference over the shared classes; None: none is shared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Trainings side by side; all texts come from files, so show them through `text.printable`."""

    runs: tuple[str, ...]
    """Their names, different from each other; the first is what the others are compared with."""
    config: tuple[ConfigRow, ...]
    """The keys in which they differ."""
    metrics: tuple[MetricRow, ...]
    """Metrics of the whole training; those of classes stand apart."""
    best: tuple[BestEpoch, ...]
    """The best epoch of each."""
    classes: tuple[ClassRow, ...]
    """Classes, the largest difference first."""
    paired: tuple[PairedDifference, ...]
    """A row for each training but the first."""
    warnings: tuple[str, ...]
    """Why numbers may not be comparable."""


def compare_trainings(sources: Sequence[Source]) -> Comparison:
    """Put trainings side by side as far as they have been read; poll the sources to their ends first.

    Raises
    ------
    RequestError
        If there are fewer than two.
    """
    if len(sources) < 2:
        raise RequestError("one training is nothing to compare", "name two or more")
    return side_by_side(sources)


def side_by_side(sources: Sequence[Source]) -> Comparison:
    """Put one training or more side by side; of one alone every key of its configuration is a row."""
    names = _different([source.name for source in sources])
    all_told = [Told(source.series, source.telemetry, source.facts) for source in sources]
    best = tuple(_best_epoch(name, told) for name, told in zip(names, all_told, strict=True))
    classes = _class_rows(all_told, best)
    return Comparison(
        runs=names,
        config=_config_rows([source.facts.config for source in sources]),
        metrics=_metric_rows(all_told),
        best=best,
        classes=classes,
        paired=tuple(_paired(name, number, classes) for number, name in enumerate(names[1:])),
        warnings=tuple(_warnings(names, sources, best)),
    )


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a configuration with one text a key: tables as ``table.key``."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flat_config(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _config_text(value)
    return flat


def _config_rows(configs: Sequence[Mapping[str, Any]]) -> tuple[ConfigRow, ...]:
    flats = [flat_config(config) for config in configs]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    # A log of another tool has no configuration at all: that is no difference.
    known = [number for number, flat in enumerate(flats) if flat]
    rows = (ConfigRow(key, tuple(flat.get(key) for flat in flats)) for key in keys)
    if len(flats) == 1:
        return tuple(rows)
    return tuple(row for row in rows if len({row.values[number] for number in known}) > 1)


def _metric_rows(all_told: Sequence[Told]) -> tuple[MetricRow, ...]:
    names = dict.fromkeys(name for told in all_told for name in told.series.names())
    rows = []
    for name in sorted((name for name in names if not _is_of_a_class(name)), key=_metric_order):
        is_low = _is_low_best(name)
        values = [told.known(name).value for told in all_told]
        last = tuple(float(column[-1]) if len(column) else None for column in values)
        best = tuple(_extreme(column, is_low) for column in values)
        if any(value is not None for value in last):
            rows.append(MetricRow(name, last, best, _deltas(best), is_low))
    return tuple(rows)


def _best_epoch(run: str, told: Told) -> BestEpoch:
    metric, is_low = told.best_metric()
    values = told.known(metric) if metric else None
    epochs = told.known(told.loss).epoch
    done = float(epochs[-1]) if len(epochs) and not math.isnan(epochs[-1]) else None
    if values is None or not len(values.value):
        return BestEpoch(run, "", None, None, None, None, done)
    at = int(np.argmin(values.value) if is_low else np.argmax(values.value))
    epoch, start_s = float(values.epoch[at]), _start_s(told)
    since_s = float(values.time_s[at]) - start_s
    return BestEpoch(
        run,
        metric,
        float(values.value[at]),
        None if math.isnan(epoch) else epoch,
        int(values.step[at]),
        None if math.isnan(since_s) else since_s,
        done,
    )


def _class_rows(all_told: Sequence[Told], best: Sequence[BestEpoch]) -> tuple[ClassRow, ...]:
    columns = [_class_values(told, at.step) for told, at in zip(all_told, best, strict=True)]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = []
    for name in names:
        values = tuple(column.get(name) for column in columns)
        rows.append(ClassRow(name, values, _deltas(values)))
    return tuple(sorted(rows, key=lambda row: -max((abs(d) for d in row.deltas if d is not None), default=-1.0)))


def _class_values(told: Told, step: int | None) -> dict[str, float | None]:
    """Return the Dice of each class at a step; None: not measured there."""
    found: dict[str, float | None] = {}
    for name in told.series.names():
        if name.startswith(CLASS_METRIC):
            values = told.known(name)
            there = np.flatnonzero(values.step == (-1 if step is None else step))
            found[name.removeprefix(CLASS_METRIC)] = float(values.value[there[-1]]) if len(there) else None
    return found


def _paired(run: str, number: int, classes: Sequence[ClassRow]) -> PairedDifference:
    deltas = [delta for row in classes if (delta := row.deltas[number]) is not None]
    mean = sum(deltas) / len(deltas) if deltas else None
    better = sum(delta > EQUAL_DICE for delta in deltas)
    return PairedDifference(run, len(deltas), better, sum(delta < -EQUAL_DICE for delta in deltas), mean)


def _warnings(names: Sequence[str], sources: Sequence[Source], best: Sequence[BestEpoch]) -> Iterator[str]:
    for name, source, at in zip(names, sources, best, strict=True):
        if source.problem:
            yield f"{name}: {source.problem}"
        elif not at.metric:
            yield f"{name} has validated nothing"
    if len(metrics := {at.metric for at in best if at.metric}) > 1:
        yield f"the best epochs are chosen by different values: {', '.join(sorted(metrics))}"
    configs = [source.facts.config for source in sources]
    for key, what in _MUST_AGREE.items():
        if all(key in config for config in configs) and len({_config_text(config[key]) for config in configs}) > 1:
            yield f"{key} differs, so {what} not measure the same"


def _start_s(told: Told) -> float:
    points = told.points(told.loss) if told.loss else None
    if points is None or not len(points):
        return math.nan
    return float(points.time_s[0])


def _is_of_a_class(name: str) -> bool:
    return name.startswith(_OF_CLASSES)


def _is_low_best(name: str) -> bool | None:
    words = set(name.lower().replace("_", "/").split("/"))
    if words & {"dice", "iou", "precision", "recall", "accuracy", "score", "f1", "jaccard"}:
        return False
    return True if words & {"loss", "error"} or name == "validation" else None


def _metric_order(name: str) -> tuple[int, str]:
    is_low = _is_low_best(name)
    return (0 if name.startswith("val") and is_low is not None else 1 if is_low is not None else 2, name)


def _extreme(values: NDArray[np.float64], is_low: bool | None) -> float | None:
    if not len(values):
        return None
    return float(values[-1] if is_low is None else values.min() if is_low else values.max())


def _deltas(values: Sequence[float | None]) -> tuple[float | None, ...]:
    first = values[0]
    return tuple(None if value is None or first is None else value - first for value in values[1:])


def _different(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that differ: the second of two equal ones is numbered."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(f"{name} ({seen[name]})" if counts[name] > 1 and seen[name] > 1 else name)
    return tuple(told)


def _config_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_config_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_config_text(item)}" for key, item in value.items()) + "}"
    return "none" if value is None else str(value)
