"""The terms of a filter: what one condition says, and whether a crop or an annotation meets it.

`query` parses text into these; nothing here knows the syntax beyond writing a term back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid

Key = Literal["class", "dataset", "split", "crop", "voxel", "shape", "source", "local", "remote", "excluded", "text"]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition, such as ``class:mito`` or ``voxel<=4``."""

    key: Key
    """What it asks about; ``text`` is a half-typed word that is looked for in every name."""
    operator: str = ":"
    """``:`` contains or includes members, ``=`` exactly, or a comparison."""
    value: str = ""
    """Value in lower case, written the one way that parses back to this term."""
    classes: frozenset[str] = field(default=frozenset(), compare=False)
    """Class names that it stands for."""
    numbers: tuple[float, ...] = field(default=(), compare=False)
    """Numbers to compare with on z, y, x, or first and last crop id of a range."""

    def __str__(self) -> str:
        if self.key == "text":
            return self.value
        return f"{self.key}{self.operator}{self.value}" if self.value else self.key

    @property
    def asks_grid(self) -> bool:
        """Whether the answer depends on the geometry."""
        return self.key in {"voxel", "shape"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a filter: any of its terms, or none of them where it is negated."""

    terms: tuple[Term, ...]
    """Alternatives, separated by commas in the text."""
    negated: bool = False
    """Whether a minus or `not` stood before it."""

    def __str__(self) -> str:
        first = self.terms[0]
        sign = "-" if self.negated else ""
        if len(self.terms) == 1:
            return f"{sign}{first}"
        if all((term.key, term.operator) == (first.key, first.operator) and term.value for term in self.terms):
            return f"{sign}{first.key}{first.operator}{','.join(term.value for term in self.terms)}"
        return sign + ",".join(term.value or term.key for term in self.terms)


def crop_meets(term: Term, crop: Crop, is_local: Callable[[Crop], bool], is_excluded: Callable[[Crop], bool]) -> bool:
    """Return whether a crop, or any class of it, meets a term."""
    match term.key:
        case "class":
            return not term.classes.isdisjoint(crop.classes)
        case "text":
            return _names_crop(term, crop) or bool(_classes_with(term.value, crop.classes))
        case "voxel" | "shape":
            return any(grid_meets(term, grid) for grid in (crop.grid, *(grid for _, grid in crop.class_grids)))
        case "dataset":
            name = crop.dataset.lower()
            return name == term.value if term.operator == "=" else term.value in name
        case "crop":
            return _crop_named(term, crop)
        case "split":
            return crop.split == term.value
        case "source":
            return crop.source == term.value
        case "excluded":
            return is_excluded(crop)
        case "local":
            return is_local(crop)
        case "remote":
            return not is_local(crop)


def crop_alone_meets(
    term: Term, crop: Crop, is_local: Callable[[Crop], bool], is_excluded: Callable[[Crop], bool]
) -> bool:
    """Return whether a crop meets a term whatever the class."""
    if term.key == "class":
        return False
    if term.key == "text":
        return _names_crop(term, crop)
    if term.asks_grid and crop.class_grids:
        return False
    return crop_meets(term, crop, is_local, is_excluded)


def classes_meeting(term: Term, crop: Crop) -> frozenset[str]:
    """Return the classes of a crop that meet a term by their own name or geometry."""
    if term.key == "class":
        return term.classes
    if term.key == "text":
        return _classes_with(term.value, crop.classes)
    if term.asks_grid and crop.class_grids:
        return frozenset(name for name in crop.classes if grid_meets(term, crop.grid_of(name)))
    return frozenset()


@lru_cache(maxsize=1024)  # crops share a few class sets, and a half-typed word is asked of all of them
def _classes_with(part: str, classes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name in classes if part in name.lower())


def grid_meets(term: Term, grid: Grid) -> bool:
    """Return whether a comparison holds on every axis."""
    values = grid.voxel_size_nm if term.key == "voxel" else grid.shape
    pairs = zip(values, term.numbers, strict=True)
    match term.operator:
        case "<=":
            return all(value <= limit for value, limit in pairs)
        case "<":
            return all(value < limit for value, limit in pairs)
        case ">=":
            return all(value >= limit for value, limit in pairs)
        case ">":
            return all(value > limit for value, limit in pairs)
        case _:
            return all(value == limit for value, limit in pairs)


def _crop_named(term: Term, crop: Crop) -> bool:
    if term.numbers:
        return term.numbers[0] <= crop.id <= term.numbers[1]
    return crop.ref.lower() == term.value if "/" in term.value else term.value in str(crop.id)


def _names_crop(term: Term, crop: Crop) -> bool:
    return term.value in crop.dataset.lower() or term.value in crop.name
