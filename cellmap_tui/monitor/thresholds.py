"""When a rule of the diagnosis speaks: every number of it, and why it is this one.

A rule shall be silent on a healthy run; where the two errors compete, silence wins.
"""

from __future__ import annotations

SAMPLE_POINTS = 20_000
"""Points of a history that rules look at; longer ones are thinned evenly, so that a look stays in milliseconds."""

# -- not a number ------------------------------------------------------------------------------

NAN_CLIP = 1
"""The longest gradient that is advised; what is clipped as short or shorter needs something else."""
NAN_WINDOWS = 3
"""Windows in a row, at the end, whose loss is no number: one or two happen with fp16 and pass."""
NAN_RECENT = 500
"""Windows in which broken ones that passed are counted."""
NAN_SHARE = 0.01
"""Share of those that is worth telling of."""

# -- diverging ---------------------------------------------------------------------------------

BLOCKS = 20
"""Parts that a history is cut into; medians of parts are compared, not points."""
BLOCK_POINTS = 6
"""Fewest points of a part: below, its median is noise."""
DIVERGED_NOISE = 6.0
"""Rise of the loss over its lowest part, in noise: what neighbouring points of a part differ by."""
DIVERGED_SHARE = 0.5
"""Rise over the lowest part, as a share of what had been gained until then, and of the lowest value itself."""
DIVERGED_LOST = 1.0
"""The same share from which on all is lost: worse than at the start."""

# -- plateau and overfitting -------------------------------------------------------------------

PLATEAU_VALIDATIONS = 10
"""Validations without a better one; `early_stop` of good configurations is about twice that."""
PLATEAU_BEFORE = 5
"""Validations before those: a training that has hardly begun is on no plateau."""
PLATEAU_GAIN = 0.002
"""Least gain of a Dice or IoU that counts; of a loss it is this share of its value."""
PLATEAU_GOOD = 0.95
"""From this Dice on a plateau is where the training was to get."""
PLATEAU_RATE = 0.1
"""Share of the highest learning rate below which nobody is told to lower it."""
RISING_VALIDATIONS = 3
"""Fewest validations in a third of a stretch that is asked for a rise."""
RISING_NOISE = 2.0
"""Rise from the first third to the last, in noise of a single validation."""
STILL_STEPS = 100
"""Steps after which a loss that has not fallen at all is told of."""
STILL_GAIN = 0.01
"""Least fall of the loss since the start, as a share of its first value."""
STILL_NOISE = 2.0
"""The same in noise; a median of six points is off by half of it."""
STILL_FIRST = 3
"""First windows whose median is where a training started, if that is higher than its first part."""
STILL_OFF = 3.0
"""Fall from the first third to the last, in what the medians of thirds are off by."""
OVERFIT_VALIDATIONS = 5
"""Validations since the lowest validation loss."""
OVERFIT_RISE = 0.05
"""Rise of the validation loss over its lowest, as a share of that."""
OVERFIT_NOISE = 3.0
"""The same in noise of a single validation: the lowest of many is low by chance."""
OVERFIT_FALL = 0.05
"""Fall of the training loss in the same time, as a share of what it was."""
OVERFIT_DICE = 0.01
"""Fall of the validation's Dice below its best; if Dice still rises, the higher loss is only over-confidence."""

# -- classes -----------------------------------------------------------------------------------

NEVER_VALIDATIONS = 5
"""Validations in a row in which a class was not predicted; rare classes often need the first few."""
GONE_VALIDATIONS = 3
"""Validations in which a class that had been predicted is not any more."""
NEVER_STEPS = 200
"""Steps before which nobody asks for rare classes: with short epochs many validations come early."""
GONE_DICE = 0.05
"""Dice that a class must have gained over its first validation to count as learned before."""
NEVER_RECALL = 1e-4
"""Recall (or Dice) below which a class counts as not predicted."""
NAMED_CLASSES = 6
"""Classes that a sentence names; the others are counted."""

# -- gradients and learning rate ---------------------------------------------------------------

GRADIENT_RECENT = 500
"""Windows in which explosions are looked for; about four minutes."""
GRADIENT_FACTOR = 50.0
"""Length of a gradient against the usual (median) one: healthy runs stay below about 10."""
GRADIENT_TIMES = 3
"""Explosions in that time; a single one happens to everybody."""
GRADIENT_POINTS = 30
"""Fewest windows for knowing what is usual; what came just before says it, for gradients shrink while it learns."""
RATE_WINDOWS = 10
"""Windows in a row whose learning rate is zero: a warm-up may begin at zero for one step."""
RATE_NEARLY_ZERO = 1e-7
"""A rate below this share of the highest one is zero: AdamW moves nothing visible any more."""
RATE_END = 0.97
"""Share of the planned steps from which on a rate of zero is the schedule's own end."""

# -- loader and GPU ----------------------------------------------------------------------------

RECENT_S = 300.0
"""Time whose median is "now"."""
RECENT_UNTIMED = 200
"""Points that are "now" in a log that has no times."""
SETTLE_POINTS = 20
"""First windows that are left out: caches are cold and kernels are being chosen."""
RECENT_POINTS = 30
"""Fewest windows or readings for a statement about now."""
WAIT_SHARE = 0.25
"""Share of a step spent waiting for data from which on the loader is what limits."""
WAIT_BAD = 0.6
"""From here on more than half of the machine is wasted."""
BUSY_CORES = 0.9
"""Share of the processors from which on more workers do not help."""
IDLE_UTILISATION = 0.3
"""Share of time in which the GPU has work, below which it is idle."""
THROTTLE_CLOCK = 0.9
"""Median clock against the highest one that a GPU had, below which throttling costs something."""

# -- memory and disk ---------------------------------------------------------------------------

TREND_S = 3600.0
"""Time over which a trend is taken."""
TREND_MIN_S = 300.0
"""Shortest time that makes a trend."""
TREND_PARTS = 6
"""Parts of that time; medians of the first, the middle and the last are compared, and all must agree."""
TREND_EVEN = 0.4
"""Each half must carry at least this share of what an even change gives it: a jump is no trend."""
FULL_SOON_S = 6 * 3600.0
"""A disk or memory that is full within this time is told of."""
FULL_NOW_S = 1800.0
"""And within this time it is an error."""
DISK_FEW_BYTES = 2 * 10**9
"""Free disk below this is told of without any trend: a checkpoint and its optimiser need as much."""
DISK_NONE_BYTES = 200 * 10**6
"""Below this the next checkpoint fails."""
MEMORY_SHARE = 0.95
"""Share of a memory limit in use from which on a kill is near."""
STEPPING_S = 60.0
"""Age of the last step up to which a network is training; a validation or a pause lasts longer."""
