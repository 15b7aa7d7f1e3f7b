"""Which crops are predicted, and which classes of them: what a recipe can be tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.services.process_model import ProcessRequest
    from cellmap_tui.services.process_recipe import Kind

MOST_CROPS = 2000


@dataclass(frozen=True, slots=True)
class PredictedCrop:
    """A crop with predictions."""

    ref: str
    """``dataset/crop``."""
    split: str
    """Where it belongs."""
    classes: tuple[str, ...]
    """Classes that are predicted."""
    groups: tuple[str, ...]
    """Groups of classes that are not predicted themselves, but some of their members."""


def predicted_crops(
    request: ProcessRequest, is_stale: Callable[[], bool] = lambda: False
) -> tuple[PredictedCrop, ...]:
    """Return the crops that have predictions, whatever crops the request names.

    Raises
    ------
    CellmapError
        If the crops are not known.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.services.process_sources import predictions_of, predictions_place

    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    catalog = open_catalog(source)
    place = predictions_place(request.predictions, request.data_root)
    groups = {
        one.name: frozenset(m.name for m in catalog.classes.members(one.name))
        for one in catalog.classes
        if one.is_group
    }
    found: list[PredictedCrop] = []
    for crop in catalog.crops:
        if is_stale() or len(found) >= MOST_CROPS:
            break
        classes = tuple(predictions_of(place, crop))
        if classes:
            also = tuple(name for name, members in groups.items() if name not in classes and members & set(classes))
            found.append(PredictedCrop(crop.ref, crop.split, classes, also))
    return tuple(found)


def kinds_of(labels: Iterable[str]) -> dict[str, Kind]:
    """Return whether classes are scored object by object or voxel by voxel."""
    from cellmap_tui.scoring.profiles import scoring_of

    return {label: scoring_of(label) for label in labels}
