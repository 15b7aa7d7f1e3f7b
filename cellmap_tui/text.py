"""Words and figures for people: sizes, durations, counts, cut names, and text made safe to show.

Every front end says the same thing the same way, so the rules stand here once: times are
``3 h 22 min``, sizes ``1.9 G``, counts are grouped by spaces, names are cut in the middle and
numbers never. What comes from files and buckets passes through `printable` before it is shown.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIZE_UNITS = "kMGTPE"


def size(size_bytes: float) -> str:
    """Return a size such as ``1.9 G`` or ``512 B``, in powers of 1000."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    value = float(size_bytes)
    for unit in _SIZE_UNITS:
        value /= 1000
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    return f"{value:.0f} {_SIZE_UNITS[-1]}"


def duration(seconds: float) -> str:
    """Return a duration such as ``42 s``, ``3 min 05 s``, ``3 h 22 min`` or ``2 d 4 h``."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    if total < 86400:
        return f"{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{total // 86400} d {total % 86400 // 3600} h"


def count(number: int) -> str:
    """Return an integer with its thousands grouped by spaces, as in ``11 786``."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, noun: str) -> str:
    """Return a number of things with their noun, as in ``1 crop`` and ``11 786 crops``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def number(value: float) -> str:
    """Return a number without needless zeros: ``4``, ``1.74``, ``23837.13``."""
    return f"{value:.10g}"


def triple(values: Sequence[float], separator: str = "×") -> str:
    """Return a z, y, x triple as ``400×400×400``; three equal lengths stay three."""
    return separator.join(number(value) for value in values)


def voxel(voxel_size_nm: Sequence[float]) -> str:
    """Return a voxel size: ``4`` when it is the same on every axis, else ``5.24×4×4``."""
    return number(voxel_size_nm[0]) if len(set(voxel_size_nm)) == 1 else triple(voxel_size_nm)


def cut_middle(name: str, width: int) -> str:
    """Return `name` in at most `width` cells, cut in its middle: ``jrc_mus-liv…zon-1``."""
    if len(name) <= width:
        return name
    if width <= 1:
        return name[:width]
    head = width // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def printable(text: str) -> str:
    """Return `text` with control characters, escape bytes and text-direction marks replaced by ``·``."""
    return "".join("·" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} else c for c in text)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the known name most like `name`, or an empty string when none is near."""
    import difflib  # 6 ms, and only mistakes need it

    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return close[0] if close else ""
