"""Browsing: which crops, annotations and classes there are, for every front end.

A front end with a catalog at hand calls `crop_rows`, `crop_detail`, `dataset_summary`, `class_rows` and
their like; a command that starts from nothing sends a request.
"""

from __future__ import annotations

from cellmap_tui.services.annotation_lists import AnnotationRow, AnnotationsResult, list_annotations
from cellmap_tui.services.catalog import CatalogSource, open_catalog
from cellmap_tui.services.class_facts import (
    ClassCounts,
    ClassRow,
    Resolution,
    SizeBin,
    VoxelSizes,
    class_dataset_counts,
    class_rows,
    class_voxel_sizes,
    resolve,
)
from cellmap_tui.services.crop_facts import ClassInCrop, CropDetail, crop_detail
from cellmap_tui.services.crop_lists import BrowseRequest, CropsResult, list_crops
from cellmap_tui.services.crop_rows import CropRow, crop_rows
from cellmap_tui.services.dataset_facts import CropBox, DatasetSummary, dataset_summary
from cellmap_tui.services.presence import Presence

__all__ = [
    "AnnotationRow",
    "AnnotationsResult",
    "BrowseRequest",
    "ClassCounts",
    "ClassInCrop",
    "ClassRow",
    "CropBox",
    "CropDetail",
    "CropRow",
    "CropsResult",
    "DatasetSummary",
    "Presence",
    "Resolution",
    "SizeBin",
    "VoxelSizes",
    "class_dataset_counts",
    "class_rows",
    "class_voxel_sizes",
    "crop_detail",
    "crop_rows",
    "dataset_summary",
    "list_annotations",
    "list_classes",
    "list_crops",
    "resolve",
]


def list_classes(source: CatalogSource | None = None) -> tuple[ClassRow, ...]:
    """List all classes, with the crops that annotate them."""
    return class_rows(open_catalog(source or CatalogSource()))
