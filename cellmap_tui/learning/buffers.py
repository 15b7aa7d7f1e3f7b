"""Memory for batches, used again as soon as nobody holds it, within one stated budget."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_UNUSED = 3
"""References to an array that only the pool knows: its list, the loop variable and the argument of the count."""


class BufferPool:
    """Arrays to read batches into.

    A fresh array of some megabytes costs as much in page faults as filling it. One that was handed out comes
    back by itself: a tensor made of it keeps a reference, and once that is gone the array is free.

    Parameters
    ----------
    budget_bytes
        Bytes of arrays kept for another use; what goes beyond is allocated and forgotten.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._arrays: list[NDArray[Any]] = []
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes of the arrays that are kept, in use or not."""
        with self._lock:
            return sum(array.nbytes for array in self._arrays)

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array that nobody else uses; its content is arbitrary."""
        wanted = np.dtype(dtype)
        with self._lock:
            for array in self._arrays:
                if array.shape == shape and array.dtype == wanted and sys.getrefcount(array) == _UNUSED:
                    return array
            fresh: NDArray[Any] = np.empty(shape, wanted)
            if sum(array.nbytes for array in self._arrays) + fresh.nbytes <= self.budget_bytes:
                self._arrays.append(fresh)
            return fresh
