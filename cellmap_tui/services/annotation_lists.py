"""Lists of annotations, a row per crop and class, that a filter keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.crops import Split  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001
from cellmap_tui.services.catalog import open_catalog
from cellmap_tui.services.crop_lists import notes_of
from cellmap_tui.services.presence import Presence

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.services.crop_lists import BrowseRequest


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One class of one crop, as a row of a table."""

    crop: int
    """Crop number."""
    dataset: str
    """Dataset."""
    split: Split
    """Training or test."""
    class_name: str
    """Class; ``class`` in what `fields` returns."""
    voxel_size_nm: Vec3
    """Voxel size of this label volume, z, y, x."""
    translation_nm: Vec3
    """Centre of its first voxel, z, y, x."""
    shape: Shape3
    """Its voxels, z, y, x."""

    def fields(self) -> dict[str, Any]:
        """Return the row by column name, as JSON and CSV have it."""
        return {
            "crop": self.crop,
            "dataset": self.dataset,
            "split": self.split,
            "class": self.class_name,
            "voxel_size_nm": self.voxel_size_nm,
            "translation_nm": self.translation_nm,
            "shape": self.shape,
        }


@dataclass(frozen=True, slots=True)
class AnnotationsResult:
    """Annotations that a filter kept."""

    rows: tuple[AnnotationRow, ...]
    """A row per crop and class, in catalog order."""
    total: int
    """Annotations before the filter."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def list_annotations(request: BrowseRequest) -> AnnotationsResult:
    """List every class of every crop that a filter keeps; raises as `list_crops`.

    Without a word about the split the training crops are listed, as in the published manifest.
    """
    catalog = open_catalog(request.source)
    query, presence = catalog.query(request.query), Presence(catalog.data_root)
    annotations = catalog.annotations()
    if not any(term.key in {"split", "crop"} for word in query.words for term in word.terms):
        annotations = tuple(a for a in annotations if a.crop.split == "train")
    kept = query.filter_annotations(annotations, presence.is_local, presence.is_excluded)
    rows = tuple(_annotation_row(annotations[index]) for index in kept)
    return AnnotationsResult(rows, len(annotations), notes_of(catalog, presence))


def _annotation_row(annotation: Annotation) -> AnnotationRow:
    crop, grid = annotation.crop, annotation.grid
    return AnnotationRow(
        crop.id,
        crop.dataset,
        crop.split,
        annotation.class_name,
        grid.voxel_size_nm,
        grid.translation_nm,
        grid.shape,
    )
