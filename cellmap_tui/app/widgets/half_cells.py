"""Pictures as half cells: two pixels in each character, one above the other.

A picture that is coarse in colour sends far fewer bytes: equal neighbours become one run of
characters with one colour change. Importing this module is cheap; numpy comes with the first picture.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from cellmap_tui.app.widgets.lean_strip import CellStyle

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

LETTER_STYLE = Style(color="white", bgcolor="black", bold=True)
UPPER_HALF = "▀"
COARSE_STEP = 16
"""Step between colours while scrubbing."""
FULL_STEP = 4
"""Step between colours at rest: below what the eye tells apart, and noisy neighbours are equal more often."""


def half_cells(rgb: NDArray[np.uint8], *, coarse: bool = False, step: int = 1) -> list[Strip]:
    """Turn a picture into lines of half cells.

    Parameters
    ----------
    rgb
        Picture, uint8 of shape (height, width, 3); an odd height gets a black last row.
    coarse
        Whether colours are rounded to steps of 16.
    step
        Else they are rounded to this step; black and white stay what they are.

    Returns
    -------
    list[Strip]
        ``ceil(height / 2)`` strips of `width` cells.
    """
    import numpy as np

    height, width, _ = rgb.shape
    if height % 2:
        rgb = np.concatenate([rgb, np.zeros((1, width, 3), np.uint8)])
    if coarse:
        rgb = (rgb // COARSE_STEP) * COARSE_STEP + COARSE_STEP // 2
    elif step > 1:
        rgb = np.minimum((rgb.astype(np.uint16) + step // 2) // step * step, 255)
    wide = rgb.astype(np.uint32)
    packed = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return [_line(upper, lower) for upper, lower in zip(packed[0::2], packed[1::2], strict=True)]


def full_cells(rgb: NDArray[np.uint8]) -> list[Strip]:
    """Turn a picture into coloured spaces, the mean of two pixels each, for terminals that know only ASCII."""
    import numpy as np

    upper, lower = rgb[0 : rgb.shape[0] // 2 * 2 : 2], rgb[1::2]
    mean = ((upper.astype(np.uint16) + lower) // 2).astype(np.uint8)
    return half_cells(np.repeat(mean, 2, axis=0), coarse=True)


def enlarge(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Repeat the pixels of a picture of half size until it has this width and height."""
    import numpy as np

    rows = np.minimum(np.arange(height) // 2, rgb.shape[0] - 1)
    columns = np.minimum(np.arange(width) // 2, rgb.shape[1] - 1)
    enlarged: NDArray[np.uint8] = rgb[rows][:, columns]
    return enlarged


def has_colours(console: Console) -> bool:
    """Whether a terminal tells classes apart by colour; where not, outlines and letters do."""
    return not os.environ.get("NO_COLOR") and console.color_system in {"256", "truecolor", "windows", None}


def with_letters(strip: Strip, letters: Sequence[tuple[int, str]], style: Style) -> Strip:
    """Write single letters over a line, each at its column."""
    for column, letter in letters:
        if 0 <= column < strip.cell_length:
            strip = Strip.join(
                [strip.crop(0, column), Strip([Segment(letter, style)], 1), strip.crop(column + 1, strip.cell_length)]
            )
    return strip


def _line(upper: NDArray[np.uint32], lower: NDArray[np.uint32]) -> Strip:
    import numpy as np

    changes = np.flatnonzero((upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])) + 1
    starts = [0, *changes.tolist()]
    ends = [*starts[1:], len(upper)]
    segments = [
        _run(top, bottom, end - start)
        for top, bottom, start, end in zip(upper[starts].tolist(), lower[starts].tolist(), starts, ends, strict=True)
    ]
    return Strip(segments, len(upper))


def _run(upper: int, lower: int, cells: int) -> Segment:
    if upper == lower:
        return Segment(" " * cells, _style(lower, lower))
    return Segment(UPPER_HALF * cells, _style(upper, lower))


_style = lru_cache(maxsize=16384)(CellStyle)
