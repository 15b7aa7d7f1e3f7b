"""Rules about classes, gradients and the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor import thresholds as at
from cellmap_tui.monitor.finding import Finding
from cellmap_tui.monitor.words import names_words, place_words, value_words
from cellmap_tui.text import count, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellmap_tui.monitor.told import Told
    from cellmap_tui.monitor.windows import Known

_CORE = "/core"
"""What columns end with that are learned beside a class; the class itself is told of."""
_LIMITS = ("validation_batch_limit", "validation_time_limit")
_MEASURES = ("val/recall/", "validation/recall/", "val/dice/", "validation/dice/")


def never_predicted(told: Told) -> Iterator[Finding]:
    """Find classes that are in the validation crops and that the network does not predict, or not any more."""
    never: dict[str, Known] = {}
    gone: dict[str, Known] = {}
    if (told.last_step or 0) < at.NEVER_STEPS:
        return
    for name, values in _classes(told):
        zeros = _validations_at_zero(values)
        if zeros >= at.GONE_VALIDATIONS and _was_learned(told, name):
            gone[name] = values
        elif zeros >= at.NEVER_VALIDATIONS:
            never[name] = values
    for found, words in ((never, "predicted"), (gone, "predicted any more")):
        if found:
            best = max(float(np.max(values.value)) for values in found.values())
            newest = min(found.values(), key=_validations_at_zero)
            waited = _validations_at_zero(newest)
            since = place_words(newest.step[-waited], newest.epoch[-waited])
            are = f"{'is' if len(found) == 1 else 'are'} {'not' if best >= at.NEVER_RECALL else 'never'}"
            evidence = f"recall 0 in the last {waited} validations, since {since}; {value_words(best)} at best"
            sentence = f"{names_words(list(found), at.NAMED_CLASSES)} {are} {words}"
            yield Finding("warn", "never_predicted", sentence, evidence, _never_setting(told))


def never_measured(told: Told) -> Finding | None:
    """Find classes whose Dice validations tell as none every time: no voxel of them is validated."""
    times: dict[str, int] = {}
    for name in told.series.names():
        points = told.points(name) if name.startswith("val/dice/") and not name.endswith(_CORE) else None
        if points is not None and not np.isfinite(points.mean).any():
            times[name.removeprefix("val/dice/")] = len(points)
    if not times:
        return None
    are = "is" if len(times) == 1 else "are"
    sentence = f"{names_words(list(times), at.NAMED_CLASSES)} {are} in nothing that is validated"
    evidence = f"no Dice in {counted(max(times.values()), 'validation')}; the mean is of the other classes"
    limits = [key for key in _LIMITS if told.setting(key) not in (None, "none")]
    more = f", or a higher {limits[0]}" if limits else ""
    return Finding(
        "warn", "never_measured", sentence, evidence, f"a split that validates on them (make-datasplit){more}"
    )


def _was_learned(told: Told, name: str) -> bool:
    """Return whether a class was once better than at first, when a network hits some of it by chance."""
    dice = told.known(f"val/dice/{name}").value
    return len(dice) > 1 and float(np.max(dice)) - float(dice[0]) > at.GONE_DICE


def _never_setting(told: Told) -> str:
    other = "loss = dice_bce, " if told.setting("loss") in ("bce", "focal") else ""
    weight = "" if told.setting("weight_loss") is True else "weight_loss = true, "
    return (
        f"see whether the training crops hold any (K, v); then {other}{weight}more foreground_share, a finer scale, "
        "or more time"
    )


def _validations_at_zero(values: Known) -> int:
    above = np.flatnonzero(values.value >= at.NEVER_RECALL)
    return len(values.value) - (int(above[-1]) + 1 if len(above) else 0)


def exploding(told: Told) -> Finding | None:
    """Find gradients that are again and again far longer than those just before."""
    points = told.points("grad_norm")
    if points is None or len(points) <= at.GRADIENT_POINTS:
        return None
    start = max(0, len(points) - at.GRADIENT_RECENT - at.GRADIENT_POINTS)
    high = np.where(np.isfinite(points.high), points.high, points.mean)[start:][at.GRADIENT_POINTS :]
    usual = _usual_before(points.mean[start:])
    clip = told.setting("max_grad_norm")
    limit = float(clip) if isinstance(clip, int | float) and clip else 0.0
    # A gradient within the limit of what is allowed is no explosion.
    is_far = (usual > 0) & (high > at.GRADIENT_FACTOR * usual) & (high > limit)
    times = int(is_far.sum())
    if times < at.GRADIENT_TIMES:
        return None
    worst = int(np.argmax(np.where(is_far, high, -np.inf)))
    step = points.step[len(points) - len(high) + worst]
    evidence = (
        f"{count(times)} of the last {count(len(high))} windows; up to {value_words(float(high[worst]))} "
        f"at {place_words(step)}, {value_words(float(usual[worst]))} before"
    )
    if limit:
        return Finding("info", "gradient", "gradients explode, and are clipped", evidence, "a lower learning_rate")
    nice = value_words(_nice(2 * float(np.median(usual[is_far]))))
    return Finding("warn", "gradient", "gradients explode", evidence, f"max_grad_norm = {nice}")


def _usual_before(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the windows before each, from the first on that has enough; 0 where all are broken."""
    before = np.lib.stride_tricks.sliding_window_view(values, at.GRADIENT_POINTS)[:-1]
    finite = np.where(np.isfinite(before), before, np.nan)
    usual = np.zeros(len(before))
    is_known = np.isfinite(finite).any(axis=1)
    usual[is_known] = np.nanmedian(finite[is_known], axis=1)
    return usual


def rate_zero(told: Told) -> Finding | None:
    """Find a learning rate of zero before the end."""
    name = next((name for name in ("lr", "learning_rate", "train/lr") if name in told.series.names()), "")
    values = told.latest(name)
    if len(values.value) < at.RATE_WINDOWS or (told.share_done or 0.0) >= at.RATE_END:
        return None
    highest = max(float(np.max(told.known(name).value)), float(np.max(values.value)))
    is_zero = values.value <= at.RATE_NEARLY_ZERO * highest
    if not is_zero[-at.RATE_WINDOWS :].all():
        return None
    if is_zero.all() and highest <= 0:
        return Finding("error", "rate_zero", "the learning rate is zero: nothing is learned", _planned(told), _RATE)
    first = len(values.value) - (len(is_zero) if is_zero.all() else int(np.argmin(is_zero[::-1])))
    if not told.is_live and told.share_done is None:
        return None
    evidence = f"since {place_words(values.step[first], values.epoch[first])}; {_planned(told)}"
    return Finding("warn", "rate_zero", "the learning rate has come to zero", evidence, _RATE)


_RATE = "learning_rate, or the scheduler's number of steps (scheduler_kwargs); on a running training: R"


def _planned(told: Told) -> str:
    planned = None if told.facts is None else told.facts.planned_steps
    done = f"step {count(told.last_step or 0)}"
    return f"{done} of {count(int(planned))}" if planned else f"at {done}"


def _classes(told: Told) -> list[tuple[str, Known]]:
    """Return each class that was ever validated, with its recall, or its Dice where no recall is told."""
    found: dict[str, Known] = {}
    names = told.series.names()
    for measure in _MEASURES:
        for name in names:
            if name.startswith(measure) and name.removeprefix(measure) not in found:
                values = told.known(name)
                if len(values.value):
                    found[name.removeprefix(measure)] = values
    return sorted(found.items())


def _nice(value: float) -> float:
    """Return the 1-2-5 number at or above a value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))
