"""Whether any target occurs in a box of label codes; compiled, and done at the first that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def has_present(
    codes: NDArray[Any], low: NDArray[np.int64], high: NDArray[np.int64], foreground: NDArray[np.bool_]
) -> bool:
    """Return whether a code of the box ``low:high`` is one of the foreground.

    Parameters
    ----------
    codes
        Label codes ``[z, y, x]``.
    low, high
        Corners of the box, ``[3]``.
    foreground
        For each code, whether any target is present, ``[codes]``.
    """
    found: bool = _search(codes, low, high, foreground)
    return found


@numba.njit(nogil=True, cache=True)
def _search(codes: Any, low: Any, high: Any, foreground: Any) -> Any:
    for z in range(low[0], high[0]):
        for y in range(low[1], high[1]):
            for x in range(low[2], high[2]):
                if foreground[codes[z, y, x]]:
                    return True
    return False
