"""Random numbers that depend on a seed, an epoch and the number of a sample alone.

Counter based: any sample's numbers can be had without those before it, so the samples are the same for
any number of workers, ranks and batch sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_STEP = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def uniforms(seed: int, epoch: int, indices: ArrayLike, stream: int, count: int) -> NDArray[np.float64]:
    """Return `count` numbers in [0, 1) for each sample.

    Parameters
    ----------
    seed, epoch
        Any whole numbers.
    indices
        Numbers of the samples within the epoch, ``[n]``.
    stream
        What the numbers are for; numbers of different streams are independent.
    count
        How many for each sample.

    Returns
    -------
    NDArray[np.float64]
        ``[n, count]``.
    """
    keys = sample_keys(seed, epoch, indices, stream)
    with np.errstate(over="ignore"):
        counters = keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
    return (_mixed(counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sample_keys(seed: int, epoch: int, indices: ArrayLike, stream: int) -> NDArray[np.uint64]:
    """Return a 64-bit key for each sample, ``[n]``, to seed a generator with."""
    key = _mixed_whole(_mixed_whole(_mixed_whole(seed & _MASK) ^ (epoch & _MASK)) ^ (stream & _MASK))
    with np.errstate(over="ignore"):
        return _mixed(np.uint64(key) + np.asarray(indices, np.uint64) * np.uint64(_STEP))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit words; the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _mixed_whole(word: int) -> int:
    """Mix one word as `_mixed` does, after a step, so that 0 is not a fixed point."""
    word = (word + _STEP) & _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)
