"""Pictures as text: half blocks in 24-bit or 256 colours, or shades of characters where there are no colours."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

Colours = Literal["true", "256", "none"]
"""What the terminal can show."""

RAMP = " .:-=+*#%@"
"""Characters from dark to bright."""
_CUBE = (0, 95, 135, 175, 215, 255)
"""Levels of the colour cube of 256-colour terminals."""
RESET = "\x1b[0m"


def colours_of(environ: Mapping[str, str] = os.environ) -> Colours:
    """Return what the terminal says it can show; tmux and ssh seldom pass COLORTERM on, and show 256 colours."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return "none"
    return "true" if environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"} else "256"


def picture_lines(
    rgb: NDArray[np.uint8], colours: Colours, letters: Sequence[tuple[int, int, str]] = ()
) -> Iterator[str]:
    """Yield a picture ``[height, width, 3]`` as lines, two pixels a character.

    Parameters
    ----------
    rgb
        The picture; of an odd height the last row is left out.
    colours
        What the terminal can show.
    letters
        Row, column and letter of what is written over a picture without colours.
    """
    rgb = rgb[: len(rgb) // 2 * 2]
    if colours == "none":
        yield from _shades(rgb, letters)
        return
    codes = _codes_256(rgb) if colours == "256" else _codes_true(rgb)
    for upper, lower in zip(codes[::2], codes[1::2], strict=True):
        cells = [f"\x1b[38;{a};48;{b}m▀" for a, b in zip(upper, lower, strict=True)]
        yield _without_repeats(cells) + RESET


def swatch(colour: Sequence[int] | None, colours: Colours) -> str:
    """Return two cells of a colour; none where there is no colour, hatched where each object has its own."""
    import numpy as np

    if colours == "none":
        return ""
    if colour is None:
        return "▒▒ "
    pixel = np.array(colour, np.uint8).reshape(1, 1, 3)
    code = (_codes_256(pixel) if colours == "256" else _codes_true(pixel))[0][0]
    return f"\x1b[38;{code}m██{RESET} "


def _without_repeats(cells: list[str]) -> str:
    """Return the cells of a line; equal neighbours name their colours once."""
    shown = [cells[0]] if cells else []
    shown += [cell if cell != before else "▀" for before, cell in itertools.pairwise(cells)]
    return "".join(shown)


def _codes_true(rgb: NDArray[np.uint8]) -> list[list[str]]:
    return [[f"2;{r};{g};{b}" for r, g, b in row] for row in rgb.tolist()]


def _codes_256(rgb: NDArray[np.uint8]) -> list[list[str]]:
    """Return the nearest of the 216 colours of the cube and the 24 greys."""
    import numpy as np

    values = rgb.astype(np.int32)
    levels = np.array(_CUBE)
    place = np.abs(values[..., None] - levels).argmin(axis=-1)
    cube = levels[place]
    grey_place = np.clip((values.mean(axis=-1) - 8 + 5) // 10, 0, 23).astype(np.int32)
    grey = (8 + 10 * grey_place)[..., None]
    is_grey = ((values - grey) ** 2).sum(axis=-1) < ((values - cube) ** 2).sum(axis=-1)
    codes: NDArray[Any] = np.where(
        is_grey, 232 + grey_place, 16 + 36 * place[..., 0] + 6 * place[..., 1] + place[..., 2]
    )
    return [[f"5;{code}" for code in row] for row in codes.tolist()]


def _shades(rgb: NDArray[np.uint8], letters: Sequence[tuple[int, int, str]]) -> Iterator[str]:
    import numpy as np

    grey = rgb.reshape(len(rgb) // 2, 2, -1, 3).mean(axis=(1, 3))
    place = np.minimum(grey * len(RAMP) / 256, len(RAMP) - 1).astype(int)
    lines = [[RAMP[i] for i in row] for row in place.tolist()]
    for row, column, letter in letters:
        if 0 <= row // 2 < len(lines) and 0 <= column < len(lines[0]):
            lines[row // 2][column] = letter[:1]
    yield from ("".join(line) for line in lines)
