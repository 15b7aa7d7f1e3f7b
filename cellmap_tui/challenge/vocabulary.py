"""The names that a filter may use, and the errors that say which word is none of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError, UnknownNameError
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Crop


class FilterError(RequestError):
    """A filter with a word that means nothing."""

    def __init__(self, message: str, start: int, stop: int, remedy: str) -> None:
        super().__init__(message, remedy)
        self.start = start
        """Index of the first character of the bad word."""
        self.stop = stop
        """Index after its last character."""


class UnknownWordError(FilterError, UnknownNameError):
    """A filter with a name that no class, dataset or crop has."""

    kind = "unknown_name"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a filter may use."""

    classes: ClassTable
    """The class table."""
    datasets: tuple[str, ...]
    """Names of the datasets."""
    crops: tuple[Crop, ...] = ()
    """Crops that numbers may name."""
    other_classes: frozenset[str] = frozenset()
    """Class names of crops that the table does not know."""


def missing_crop(dataset: str, crop_id: int, crops: Sequence[Crop]) -> tuple[str, str]:
    """Return what is wrong with a crop that is not among `crops`, and the nearest that is."""
    same = [crop for crop in crops if crop.dataset.lower() == dataset.lower()] if dataset else [*crops]
    if not same:
        near = nearest(dataset, {crop.dataset for crop in crops})
        return "names a dataset that does not exist", f"did you mean {near!r}?" if near else "`crops` lists them all"
    closest = min(same, key=lambda crop: (abs(crop.id - crop_id), crop.id))
    return "is no crop", f"the nearest is {closest.ref}"


def dataset_words(datasets: Iterable[str]) -> Iterator[str]:
    """Yield the datasets' names and the parts of them that a person would type."""
    for name in datasets:
        yield name
        yield from (part for part in re.split(r"[_-]", name.lower()) if len(part) > 2)
