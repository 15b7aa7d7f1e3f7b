"""Lists of crops that a filter keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellmap_tui.services.catalog import CatalogSource, open_catalog
from cellmap_tui.services.crop_rows import CropRow, crop_rows
from cellmap_tui.services.presence import Presence

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog


@dataclass(frozen=True, slots=True)
class BrowseRequest:
    """Which crops or annotations to list."""

    query: str = ""
    """A filter; empty: everything."""
    source: CatalogSource = field(default_factory=CatalogSource)
    """Where crops are looked up."""


@dataclass(frozen=True, slots=True)
class CropsResult:
    """Crops that a filter kept."""

    rows: tuple[CropRow, ...]
    """A row per crop, in catalog order."""
    total: int
    """Crops before the filter."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as a damaged local catalog."""


def list_crops(request: BrowseRequest) -> CropsResult:
    """List the crops that a filter keeps.

    Raises
    ------
    RequestError
        If a word of the filter means nothing, or a manifest cannot be read.
    """
    catalog = open_catalog(request.source)
    presence = Presence(catalog.data_root)
    kept = catalog.crops
    if request.query.strip():
        query = catalog.query(request.query)
        kept = tuple(kept[i] for i in query.filter_crops(kept, presence.is_local, presence.is_excluded))
    return CropsResult(crop_rows(kept, presence), len(catalog.crops), notes_of(catalog, presence))


def notes_of(catalog: Catalog, presence: Presence) -> tuple[str, ...]:
    """Return what the user should know about a catalog and what is on disk."""
    return (*catalog.notes, presence.note) if presence.note else catalog.notes
