"""What the browser shows: crops with what is on disk of them, annotations, datasets, and the filter over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.services.catalog import CatalogSource, open_catalog
from cellmap_tui.services.empty_labels import empty_labels
from cellmap_tui.services.presence import Presence
from cellmap_tui.services.settings import checked_data_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation, Crop
    from cellmap_tui.challenge.matching import Query
    from cellmap_tui.services.settings import Settings


@dataclass(frozen=True, slots=True)
class CropItem:
    """A crop, and how much of it is here."""

    crop: Crop
    """The crop."""
    share: float
    """Share of it on disk, 0 to 1."""
    excluded: str | None
    """Why the user set it aside; None: not set aside."""


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """A dataset in the list of datasets."""

    name: str
    """Name; empty for all datasets together."""
    crops: int
    """Its crops."""
    local: int
    """Its crops of which anything is on disk."""


class Browsed:
    """The catalog with what is on disk, looked up once.

    Parameters
    ----------
    catalog
        The catalog.
    presence
        What is on disk and set aside.
    empty_remote
        Crops of which the bucket was listed, and their classes that are empty there.
    """

    def __init__(
        self, catalog: Catalog, presence: Presence, empty_remote: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        self.catalog = catalog
        self.empty_remote = empty_remote or {}
        self.presence = presence
        self.items = tuple(CropItem(crop, presence.share(crop), presence.reason(crop)) for crop in catalog.crops)
        self.by_ref = {item.crop.ref: item for item in self.items}
        self.notes = (*catalog.notes, *filter(None, (presence.note,)))

    def take_shares(self, shares: Mapping[str, float]) -> None:
        """Take over how much of some crops is on disk by now."""
        self.presence.take_shares(shares)
        self.items = tuple(
            replace(item, share=shares[item.crop.ref]) if item.crop.ref in shares else item for item in self.items
        )
        self.by_ref = {item.crop.ref: item for item in self.items}

    @property
    def has_local(self) -> bool:
        """Whether anything is on disk."""
        return any(item.share > 0 for item in self.items)

    def datasets(self) -> tuple[DatasetItem, ...]:
        """Return all datasets together, then each of them."""
        found: dict[str, list[CropItem]] = {}
        for item in self.items:
            found.setdefault(item.crop.dataset, []).append(item)
        rows = [DatasetItem(name, len(items), sum(i.share > 0 for i in items)) for name, items in found.items()]
        return (DatasetItem("", len(self.items), sum(row.local for row in rows)), *rows)

    def crop_filter(self, text: str, dataset: str = "") -> Callable[[CropItem], bool] | None:
        """Return what a filter keeps of the crops; None: everything.

        Raises
        ------
        FilterError
            If a word of the filter means nothing; the last word may be unfinished.
        """
        query = self._query(text)
        if query.is_empty and not dataset:
            return None
        is_local, is_excluded = self.presence.is_local, self.presence.is_excluded
        return lambda item: dataset in {"", item.crop.dataset} and query.matches(item.crop, is_local, is_excluded)

    def annotation_filter(self, text: str, dataset: str = "") -> Callable[[Annotation], bool]:
        """Return what a filter keeps of the annotations; without a word about the split, training crops.

        Raises
        ------
        FilterError
            If a word of the filter means nothing.
        """
        query = self._query(text)
        named = any(term.key in {"split", "crop"} for word in query.words for term in word.terms)
        # By identity: hashing a crop, or spelling its name, would cost more than all the rest for 12,000 rows.
        presence, passing = self.presence, dict[int, frozenset[str]]()

        def classes_of(crop: Crop) -> frozenset[str]:
            if dataset not in {"", crop.dataset} or (crop.split != "train" and not named):
                return frozenset()
            return query.passing_classes(crop, presence.is_local, presence.is_excluded)

        def keep(annotation: Annotation) -> bool:
            key = id(annotation.crop)
            if key not in passing:
                passing[key] = classes_of(annotation.crop)
            return annotation.class_name in passing[key]

        return keep

    def _query(self, text: str) -> Query:
        """Parse a filter whose last word may be unfinished, but must still be able to become one."""
        query = self.catalog.query(text, partial=True)
        half_typed = [term.value for word in query.words for term in word.terms if term.key == "text"]
        if any(not self._begins_something(value) for value in half_typed):
            self.catalog.query(text)
        return query

    def _begins_something(self, value: str) -> bool:
        vocabulary = self.catalog.vocabulary
        names = (*vocabulary.classes.names, *vocabulary.other_classes, *vocabulary.datasets)
        return any(value in name.lower() for name in names) or any(value in item.crop.name for item in self.items)


def browse(settings: Settings) -> Browsed:
    """Open the catalog and look at the disk; called in a thread.

    Raises
    ------
    CellmapError
        If the data root cannot be one, or a manifest named in the environment cannot be read.
    """
    data_root = checked_data_root(settings)
    catalog = open_catalog(CatalogSource(data_root=data_root, state_dir=settings.state_dir))
    empty = empty_labels(settings.state_dir, bucket=settings.bucket, endpoint_url=settings.endpoint_url)
    return Browsed(catalog, Presence(data_root), empty)
