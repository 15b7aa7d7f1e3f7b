"""Rules about the loss: not a number, diverging, plateau, overfitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor import thresholds as at
from cellmap_tui.monitor.finding import Finding, Level
from cellmap_tui.monitor.windows import Known, blocks, median
from cellmap_tui.monitor.words import place_words, value_words
from cellmap_tui.text import count, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.monitor.told import Told


def not_a_number(told: Told) -> Finding | None:
    """Find a loss that is no number any more, or was none now and then."""
    name = told.loss
    points = told.points(name) if name else None
    if points is None or not len(points):
        return None
    tail = points.mean[-at.NAN_RECENT :]
    is_broken = np.isnan(tail)
    run = len(tail) if is_broken.all() else int(np.argmin(is_broken[::-1]))
    lower = f"{_calmer(told)}; then go on from a checkpoint before it"
    # Own trainings end at the first loss that is none, so that there is no second window.
    has_ended_it = run > 0 and told.state == "failed"
    if run >= at.NAN_WINDOWS or has_ended_it:
        first = len(points) - _broken_at_end(points.mean)
        place = place_words(points.step[first], points.epoch[first])
        sentence = "the training ended because its loss" if has_ended_it else "the loss"
        return Finding("error", "nan", f"{sentence} is not a number any more", f"since {place}", lower)
    share = float(is_broken.mean())
    if share < at.NAN_SHARE or len(tail) < at.GRADIENT_POINTS:
        return None
    evidence = f"in {count(int(is_broken.sum()))} of the last {count(len(tail))} windows"
    return Finding("warn", "nan", "the loss is not a number now and then", evidence, lower)


def diverging(told: Told) -> Finding | None:
    """Find a loss that rises again and has lost much of what it had gained."""
    parts = blocks(told.known(told.loss)) if told.loss else None
    if parts is None:
        return None
    lowest = int(np.argmin(parts.value[:-1])) if len(parts.value) > 1 else 0
    least, now = float(parts.value[lowest]), float(parts.value[-1])
    gain, lost = max(0.0, float(parts.value[0]) - least), now - least
    scale = max(gain, abs(least))
    noise = max(float(parts.noise[lowest]), float(np.median(parts.noise[: lowest + 1])))
    # Two parts must be up: one alone is an outlier of a short history.
    is_up = len(parts.value) < 4 or float(parts.value[-2]) - least > 0.5 * at.DIVERGED_SHARE * scale
    if not is_up or lost <= max(at.DIVERGED_NOISE * noise, at.DIVERGED_SHARE * scale):
        return None
    level: Level = "error" if lost > at.DIVERGED_LOST * scale else "warn"
    evidence = f"{value_words(now)} now, {value_words(least)} at {place_words(parts.step[lowest])}"
    setting = f"{_lower_rate(told)}, longer warm-up"
    return Finding(level, "diverging", "the training loss is rising", evidence, setting)


def _lower_rate(told: Told) -> str:
    rate = told.setting("learning_rate")
    return "lower learning_rate" + (f" ({value_words(rate / 3)})" if isinstance(rate, float | int) and rate else "")


def _calmer(told: Told) -> str:
    """Return what keeps a loss a number, beside what the training is configured with already."""
    clip, warmup = told.setting("max_grad_norm"), told.setting("warmup_epochs")
    if not isinstance(clip, float | int) or not 0 < clip <= at.NAN_CLIP:
        return f"{_lower_rate(told)}, or clip with max_grad_norm = {at.NAN_CLIP}"
    longer = f" (warmup_epochs, now {warmup})" if isinstance(warmup, int) else ""
    return f"{_lower_rate(told)}, or longer warm-up{longer}; gradients are clipped already"


def plateau(told: Told) -> Finding | None:
    """Find a validation that does not get better any more, or a loss that never moved."""
    metric, is_low = told.best_metric()
    values = told.known(metric) if metric else None
    if values is None or len(values.value) < at.PLATEAU_VALIDATIONS + at.PLATEAU_BEFORE:
        return _still(told)
    score = -values.value if is_low else values.value
    gain = at.PLATEAU_GAIN * (abs(float(np.max(score))) if is_low else 1.0)
    best = int(np.argmax(score >= np.max(score) - gain))
    waited = len(score) - 1 - best
    # What rises again after a fall gets better, even if chance did better before anything was learned.
    if waited < at.PLATEAU_VALIDATIONS or _is_rising(score[best + 1 :], gain):
        return None
    top = float(values.value[best])
    if not is_low and top >= at.PLATEAU_GOOD:
        return None
    is_over = not told.is_live or (told.share_done or 0.0) >= at.RATE_END
    evidence = (
        f"best {value_words(top)} at {place_words(values.step[best], values.epoch[best])}, "
        f"{value_words(float(values.value[-1]))} now"
    )
    sentence = f"{metric} has not become better for {counted(waited, 'validation')}"
    if metric != "val/loss" and _is_rising(-told.known("val/loss").value[-waited:], 0.0):
        setting = "give it longer; if classes stay away: loss = dice_bce, weight_loss = true, more foreground_share"
        return Finding("info", "plateau", f"{sentence}, though val/loss still falls", evidence, setting)
    return Finding("info" if is_over else "warn", "plateau", sentence, evidence, _plateau_setting(told))


def _plateau_setting(told: Told) -> str:
    rates = told.known("lr").value
    if len(rates) and float(rates[-1]) < at.PLATEAU_RATE * float(np.max(rates)):
        return "stop: the learning rate is low already, and early_stop ends such a training by itself"
    return "lower the learning rate, or stop: early_stop ends such a training by itself"


def _is_rising(score: NDArray[np.float64], gain: float) -> bool:
    """Return whether a score's last third lies above its first third, by more than `gain` and its noise."""
    size = len(score) // 3
    if size < at.RISING_VALIDATIONS:
        return False
    middle = float(np.median(score[size:-size]))
    first, last = float(np.median(score[:size])), float(np.median(score[-size:]))
    return last - first > max(gain, at.RISING_NOISE * _noise(score)) and last > middle


def overfitting(told: Told) -> Finding | None:
    """Find a validation that gets worse while training goes on getting better."""
    loss = next((name for name in ("val/loss", "validation", "val_loss") if name in told.series.names()), "")
    values = told.known(loss)
    train = told.known(told.loss)
    if len(values.value) <= at.OVERFIT_VALIDATIONS or len(train.value) < 2 * at.BLOCK_POINTS:
        return None
    # One low validation is by chance: two others beside it have to be low as well.
    level = _without_outliers(values.value)
    lowest = int(np.argmin(level))
    since = len(level) - 1 - lowest
    least, now = float(level[lowest]), float(np.median(values.value[-3:]))
    rise = max(at.OVERFIT_RISE * abs(least), at.OVERFIT_NOISE * _noise(values.value))
    if since < at.OVERFIT_VALIDATIONS or now - least <= rise:
        return None
    before, after = _around(train, int(values.step[lowest]))
    if before is None or after is None or before - after <= at.OVERFIT_FALL * abs(before):
        return None
    place = place_words(values.step[lowest], values.epoch[lowest])
    evidence = (
        f"{loss} {value_words(float(values.value[lowest]))} at {place}, {value_words(now)} now; "
        f"training loss {value_words(before)}, then {value_words(after)}"
    )
    is_worse = _has_fallen(told.known("val/dice"))
    sentence = "the network learns its training crops by heart" if is_worse else "the validation loss rises again"
    setting = "use the best checkpoint; more crops, stronger augmentation (spatial_transforms) or weight decay"
    return Finding("warn" if is_worse else "info", "overfitting", sentence, evidence, setting)


def _still(told: Told) -> Finding | None:
    values = told.known(told.loss) if told.loss else None
    parts = blocks(values, parts=8) if values is not None else None
    if values is None or parts is None or len(parts.value) < 4 or (told.last_step or 0) < at.STILL_STEPS:
        return None
    # Much may be learned in the first few windows already.
    first = max(float(parts.value[0]), float(np.median(values.value[: at.STILL_FIRST])))
    now, noise = float(parts.value[-1]), float(np.median(parts.noise))
    is_rising = now - first > at.DIVERGED_NOISE * noise
    # Two parts must be down: of many, one is by chance.
    fall = first - float(np.sort(parts.value[1:])[1])
    has_fallen = fall > max(at.STILL_GAIN * abs(first), at.STILL_NOISE * noise)
    if is_rising or has_fallen or _falls_slowly(values.value, noise) or _validates_better(told):
        return None
    evidence = f"{value_words(first)} at the start, {value_words(now)} now"
    rate = told.setting("learning_rate")
    named = f" (now {value_words(rate)})" if isinstance(rate, float | int) and rate else ""
    setting = f"look at learning_rate{named}, at the classes' crops (samples), and at the loss"
    return Finding("warn", "plateau", "the training loss has not fallen since the start", evidence, setting)


def _falls_slowly(loss: NDArray[np.float64], noise: float) -> bool:
    """Return whether the last third lies below the first by more than their medians are off."""
    size = len(loss) // 3
    first, last = float(np.median(loss[:size])), float(np.median(loss[-size:]))
    off = 1.25 * noise * np.sqrt(2 / size)
    return first - last > max(at.STILL_GAIN * abs(first), float(at.STILL_OFF * off))


def _validates_better(told: Told) -> bool:
    """Return whether any validation was clearly better than the first one."""
    dice, loss = told.known("val/dice").value, told.known("val/loss").value
    if len(dice) > 1 and float(np.max(dice)) - float(dice[0]) > at.STILL_GAIN:
        return True
    if len(loss) < 2:
        return False
    first = float(loss[0])
    return first - float(np.min(loss)) > at.STILL_GAIN * abs(first)


def _around(train: Known, step: int) -> tuple[float | None, float | None]:
    """Return the training loss around a step, and at the end."""
    size = max(at.BLOCK_POINTS, len(train.value) // at.BLOCKS)
    middle = int(np.searchsorted(train.step, step))
    there = slice(max(0, middle - size // 2), middle + size // 2 + 1)
    return median(train.value[there]), median(train.value[-size:])


def _has_fallen(dice: Known) -> bool:
    if len(dice.value) < 3:
        return True
    best = float(np.max(_without_outliers(dice.value)))
    return best - float(np.median(dice.value[-3:])) > at.OVERFIT_DICE


def _noise(values: NDArray[np.float64]) -> float:
    """Return what neighbours typically differ by, as a median absolute deviation."""
    return float(np.median(np.abs(np.diff(values)))) / 2**0.5


def _without_outliers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each value and its two neighbours; the first and the last have one."""
    padded = np.concatenate((values[:1], values, values[-1:]))
    level: NDArray[np.float64] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)
    return level


def _broken_at_end(values: NDArray[np.float64]) -> int:
    good = np.flatnonzero(~np.isnan(values))
    return len(values) - (int(good[-1]) + 1 if len(good) else 0)
