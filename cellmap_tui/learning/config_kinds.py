"""What values a configuration key takes: each kind reads a plain value of TOML, Python or ``--set``.

A kind turns what was written into what the model holds, or raises `UnfitError` with a sentence that ends
after "is …": the caller knows the key and where it stands. Text is only taken for a number where it
came from ``--set``, which has nothing but text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AXES = ("z", "y", "x")
NONE_WORDS = ("none", "null", "")
"""TOML has no null, so these words stand for it where a key may be left open."""


class UnfitError(ValueError):
    """A value that a key does not take; the message says what the value is and what was expected."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a key takes."""

    words: str
    """For people, as in ``a whole number of at least 1``."""
    read: Callable[[object], Any]
    """Turn a plain value into what the model holds; raises `UnfitError`."""
    is_path: bool = False
    """Whether a relative value is relative to the folder of the file it stands in."""
    choices: tuple[str, ...] = ()
    """All values, where they can be listed."""


def shown(value: object) -> str:
    """Return a value for a message: short, safe to print, with what it is."""
    if isinstance(value, str):
        return f'the text "{printable(value)[:60]}"'
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}…"


def whole(least: int, most: int | None = None) -> Kind:
    """Return the kind of whole numbers from `least`."""
    words = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"

    def read(value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < least
            or (most is not None and value > most)
        ):
            raise UnfitError(f"{shown(value)}, not {words}")
        return value

    return Kind(words, read)


def real(least: float = -math.inf, most: float = math.inf, *, above: float | None = None) -> Kind:
    """Return the kind of numbers from `least` to `most`, greater than `above` where that is given."""
    if above is not None:
        words = f"a number above {above:g}" + (f", at most {most:g}" if most < math.inf else "")
    elif math.isfinite(least) and math.isfinite(most):
        words = f"a number from {least:g} to {most:g}"
    else:
        words = f"a number of at least {least:g}" if math.isfinite(least) else "a number"

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UnfitError(f"{shown(value)}, not {words}")
        if not least <= value <= most or (above is not None and value <= above):
            raise UnfitError(f"{shown(value)}, not {words}")
        return float(value)

    return Kind(words, read)


def switch() -> Kind:
    """Return the kind of true and false."""

    def read(value: object) -> bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise UnfitError(f"{shown(value)}, not true or false")
        return value

    return Kind("true or false", read, choices=("true", "false"))


def choice(*names: str) -> Kind:
    """Return the kind of one word out of `names`."""
    words = f"one of {', '.join(names)}" if len(names) > 1 else names[0]

    def read(value: object) -> str:
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, str) and value.lower() in names:
            return value.lower()
        near = nearest(value, names) if isinstance(value, str) else ""
        raise UnfitError(f"{shown(value)}, not {words}" + (f"; did you mean {near!r}?" if near else ""))

    return Kind(words, read, choices=names)


def text(words: str = "a text", *, is_path: bool = False) -> Kind:
    """Return the kind of texts that are not empty."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value or "\0" in value:
            raise UnfitError(f"{shown(value)}, not {words}")
        return value

    return Kind(words, read, is_path=is_path)


def file_name() -> Kind:
    """Return the kind of names that can be a part of a file's name."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not value or not value.isprintable() or value in (".", ".."):
            raise UnfitError(f"{shown(value)}, not a name")
        if "/" in value or "\\" in value or "{" in value:
            raise UnfitError(f"{shown(value)}, not a name for files: it has a / or a bracket")
        return value

    return Kind("a name, also of files", read)


def names(words: str = "a list of names") -> Kind:
    """Return the kind of lists of names; a single text is split at commas."""

    def read(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
            raise UnfitError(f"{shown(value)}, not {words}")
        return tuple(value)

    return Kind(words, read)


def optional(kind: Kind) -> Kind:
    """Return the kind that also takes nothing, written ``none``."""

    def read(value: object) -> Any:
        if value is None or (isinstance(value, str) and value.lower() in NONE_WORDS):
            return None
        return kind.read(value)

    return Kind(f"{kind.words}, or none", read, kind.is_path, (*kind.choices, "none") if kind.choices else ())


def auto_or(kind: Kind) -> Kind:
    """Return the kind that also takes the word ``auto``."""

    def read(value: object) -> Any:
        return "auto" if isinstance(value, str) and value.lower() == "auto" else kind.read(value)

    return Kind(f"{kind.words}, or auto", read)


def triple_nm() -> Kind:
    """Return the kind of voxel sizes: one number, or three for z, y, x."""
    words = "a voxel size in nm: one number, or three (z, y, x)"

    def read(value: object) -> tuple[float, float, float]:
        parts = _numbers(value)
        if len(parts) == 1:
            parts = parts * 3
        if len(parts) != 3 or not all(0 < part < 1e6 for part in parts):
            raise UnfitError(f"{shown(value)}, not {words}")
        return (parts[0], parts[1], parts[2])

    return Kind(words, read)


def scale_filter() -> Kind:
    """Return the kind of ``filter_by_scale``: false, true (the input's scale) or a voxel size."""
    sizes = triple_nm()

    def read(value: object) -> bool | tuple[float, float, float]:
        if isinstance(value, str) and value.lower() in ("true", "false", *NONE_WORDS):
            return value.lower() == "true"
        return bool(value) if value is None or isinstance(value, bool) else sizes.read(value)

    return Kind("true, false, or a voxel size in nm", read)


def table(words: str = "a table of options") -> Kind:
    """Return the kind of free tables, kept as they are."""

    def read(value: object) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise UnfitError(f"{shown(value)}, not {words}")
        return dict(value)

    return Kind(words, read)


def fields(value: object, kinds: Mapping[str, Kind], what: str) -> dict[str, Any]:
    """Read a table whose keys are known.

    Raises
    ------
    UnfitError
        If it is no table, has a key of another name (the nearest is named), or a value does not fit.
    """
    if not isinstance(value, dict):
        raise UnfitError(f"{shown(value)}, not {what}")
    for name in value:
        if name not in kinds:
            near = nearest(str(name), kinds)
            hint = f"; did you mean {near!r}?" if near else f"; it has {', '.join(kinds)}"
            raise UnfitError(f"a table with the unknown key {printable(str(name))!r}{hint}")
    read = {}
    for name, part in value.items():
        try:
            read[name] = kinds[name].read(part)
        except UnfitError as problem:
            raise UnfitError(f"a table whose {name} is {problem}") from None
    return read


def _numbers(value: object) -> list[float]:
    if isinstance(value, str):
        try:
            return [float(part) for part in value.replace(",", " ").strip("()[] ").split()]
        except ValueError:
            raise UnfitError(f"{shown(value)}, not numbers") from None
    parts: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if any(isinstance(part, bool) or not isinstance(part, int | float) for part in parts):
        raise UnfitError(f"{shown(value)}, not numbers")
    return [float(part) for part in parts]
