"""Colours of classes and objects in pictures: fixed by name and id, never by place in a list.

The seven hues of Okabe and Ito tell apart under the common colour blindnesses; more classes
take them lighter and darker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RGB = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

OKABE_ITO: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Orange, sky, green, yellow, blue, vermillion, purple; black is left out, it is the ground."""

_ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _VERMILLION, _PURPLE = range(7)
_PLAIN, _LIGHT, _DARK = range(3)
_SHADES = ((0.0, 0), (0.45, 255), (0.35, 0))
"""Part and grey level that a hue is mixed with: not at all, lighter, darker."""

_ORGANELLES = {
    "mito": (_VERMILLION, _PLAIN),
    "er": (_SKY, _PLAIN),
    "nuc": (_BLUE, _PLAIN),
    "golgi": (_YELLOW, _PLAIN),
    "ves": (_PURPLE, _PLAIN),
    "endo": (_GREEN, _PLAIN),
    "lyso": (_ORANGE, _PLAIN),
    "ld": (_YELLOW, _DARK),
    "perox": (_VERMILLION, _LIGHT),
    "mt": (_PURPLE, _DARK),
    "np": (_PURPLE, _LIGHT),
    "pm": (_ORANGE, _LIGHT),
    "ecs": (_GREEN, _DARK),
    "cell": (_GREEN, _LIGHT),
    "cyto": (_YELLOW, _LIGHT),
    "ne": (_BLUE, _LIGHT),
    "eres": (_SKY, _DARK),
    "nucpl": (_SKY, _LIGHT),
    "chrom": (_BLUE, _DARK),
}
"""Hue and shade of what is most often looked at together; everything else takes them by its id."""

_PARTS = {"mem": _DARK, "out": _DARK, "lum": _LIGHT, "in": _LIGHT}
"""Shade of the parts of an organelle, in the hue of the whole."""


def class_colour(name: str, class_id: int) -> RGB:
    """Return the colour of a class, the same wherever it is drawn.

    Parameters
    ----------
    name
        Name in the class table; parts such as ``mito_mem`` are a darker or lighter ``mito``.
    class_id
        Decides for every other name.
    """
    stem, _, part = name.partition("_")
    if stem in _ORGANELLES and part in {"", *_PARTS}:
        hue, shade = _ORGANELLES[stem]
        index = _PARTS.get(part, shade) * len(OKABE_ITO) + hue
    else:
        index = (class_id - 1) % (len(OKABE_ITO) * len(_SHADES))
    red, green, blue = (int(value) for value in _palette()[index])
    return (red, green, blue)


def object_colours(ids: NDArray[Any]) -> NDArray[np.uint8]:
    """Return colours of object ids, ``[..., 3]``; ids that follow each other differ."""
    palette = _palette()
    return palette[((ids.astype(np.int64) - 1) % len(palette)).astype(np.intp)]


def _palette() -> NDArray[np.uint8]:
    hues = np.array(OKABE_ITO, np.float64)
    shades = [hues * (1 - part) + grey * part for part, grey in _SHADES]
    return np.concatenate(shades).round().astype(np.uint8)
