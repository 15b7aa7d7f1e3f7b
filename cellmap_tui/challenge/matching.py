"""A parsed filter, and the crops and annotations that meet it.

Whether data are local and whether a crop is excluded is asked through functions, so that matching
never touches the disk by itself. The syntax is the business of `query`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.terms import Word, classes_meeting, crop_alone_meets, crop_meets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cellmap_tui.challenge.crops import Annotation, Crop


def never(_crop: Crop) -> bool:
    """Answer no for every crop."""
    return False


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter; equal filters compare equal, and ``str`` writes one that parses to the same."""

    words: tuple[Word, ...] = ()
    """All of them must hold."""

    def __str__(self) -> str:
        return " ".join(map(str, self.words))

    @property
    def is_empty(self) -> bool:
        """Whether everything matches."""
        return not self.words

    @property
    def asks_local(self) -> bool:
        """Whether matching will ask which data are on disk."""
        return any(term.key in {"local", "remote"} for word in self.words for term in word.terms)

    @property
    def asks_excluded(self) -> bool:
        """Whether matching will ask which crops are excluded."""
        return any(term.key == "excluded" for word in self.words for term in word.terms)

    def matches(
        self,
        crop: Crop,
        is_local: Callable[[Crop], bool] = never,
        is_excluded: Callable[[Crop], bool] = never,
    ) -> bool:
        """Return whether a crop meets the filter; a class counts when any annotation has it."""
        return all(
            any(crop_meets(term, crop, is_local, is_excluded) for term in word.terms) != word.negated
            for word in self.words
        )

    def matches_annotation(
        self,
        annotation: Annotation,
        is_local: Callable[[Crop], bool] = never,
        is_excluded: Callable[[Crop], bool] = never,
    ) -> bool:
        """Return whether one class of one crop meets the filter."""
        return bool(self.filter_annotations((annotation,), is_local, is_excluded))

    def filter_crops(
        self,
        crops: Sequence[Crop],
        is_local: Callable[[Crop], bool] = never,
        is_excluded: Callable[[Crop], bool] = never,
    ) -> list[int]:
        """Return the indices of the crops that meet the filter."""
        return [index for index, crop in enumerate(crops) if self.matches(crop, is_local, is_excluded)]

    def filter_annotations(
        self,
        annotations: Sequence[Annotation],
        is_local: Callable[[Crop], bool] = never,
        is_excluded: Callable[[Crop], bool] = never,
    ) -> list[int]:
        """Return the indices of the annotations that meet the filter.

        Each crop is asked once which of its classes pass, so a table in catalog order is filtered in a
        few milliseconds per 10,000 rows.
        """
        kept: list[int] = []
        last: Crop | None = None
        passing: Collection[str] = ()
        for index, annotation in enumerate(annotations):
            if annotation.crop is not last:
                last = annotation.crop
                passing = self.passing_classes(last, is_local, is_excluded)
            if annotation.class_name in passing:
                kept.append(index)
        return kept

    def passing_classes(
        self,
        crop: Crop,
        is_local: Callable[[Crop], bool] = never,
        is_excluded: Callable[[Crop], bool] = never,
    ) -> frozenset[str]:
        """Return the classes of a crop whose annotations meet the filter."""
        names = frozenset(crop.classes)
        for word in self.words:
            whole = any(crop_alone_meets(term, crop, is_local, is_excluded) for term in word.terms)
            found = names if whole else frozenset().union(*(classes_meeting(term, crop) for term in word.terms))
            names = names - found if word.negated else names & found
            if not names:
                break
        return names
