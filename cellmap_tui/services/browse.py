"""Browsing: rows about crops, annotations and datasets, light enough for a first screen.

What is on disk is asked only below datasets that exist there, so that listing the whole challenge
on a machine without data touches the disk a handful of times.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import crop_em_path, crop_path, label_path, local_classes, local_share
from cellmap_tui.errors import CellmapError, UnknownNameError
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
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation, Crop, Source, Split
    from cellmap_tui.challenge.exclusions import Exclusion
    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.challenge.matching import Query

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


@dataclass(frozen=True, slots=True)
class BrowseRequest:
    """Which crops or annotations to list."""

    query: str = ""
    """A filter; empty: everything."""
    source: CatalogSource = CatalogSource()
    """Where crops are looked up."""


@dataclass(frozen=True, slots=True)
class CropRow:
    """One crop, as a row of a table."""

    crop: int
    """Crop number."""
    dataset: str
    """Dataset."""
    split: Split
    """Training or test."""
    classes: tuple[str, ...]
    """Annotated (test: scored) classes."""
    voxel_size_nm: Vec3
    """Voxel size of the labels, z, y, x."""
    shape: Shape3
    """Voxels of the labels, z, y, x."""
    local: bool
    """Whether any data of the crop are on disk."""
    translation_nm: Vec3
    """Centre of the first voxel in the world, z, y, x."""
    local_share: float
    """Share of the crop on disk, 0 to 1."""
    source: Source
    """Where the crop is known from."""
    excluded: str | None
    """Reason why the user set it aside; None: not set aside."""
    ref: str
    """The crop, as ``dataset/crop234``."""


@dataclass(frozen=True, slots=True)
class CropsResult:
    """Crops that a filter kept."""

    rows: tuple[CropRow, ...]
    """A row per crop, in catalog order."""
    total: int
    """Crops before the filter."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as a damaged local catalog."""


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


class Presence:
    """What is on disk and what is set aside, asked once per crop.

    Parameters
    ----------
    data_root
        The data root; None or a folder that does not exist: nothing is local.

    Attributes
    ----------
    note
        Why exclusions are not known; empty when they are.
    """

    def __init__(self, data_root: Path | None) -> None:
        self.data_root = data_root
        self.note = ""
        self.datasets = _folders(data_root)
        self.exclusions = self._read_exclusions()
        self._shares: dict[str, float] = {}

    def share(self, crop: Crop) -> float:
        """Return which share of a crop is on disk, 0 to 1."""
        if self.data_root is None or crop.dataset not in self.datasets:
            return 0.0
        if crop.ref not in self._shares:
            self._shares[crop.ref] = local_share(self.data_root, crop)
        return self._shares[crop.ref]

    def is_local(self, crop: Crop) -> bool:
        """Return whether any data of a crop are on disk."""
        return self.share(crop) > 0

    def is_excluded(self, crop: Crop) -> bool:
        """Return whether a crop is set aside."""
        return crop.ref in self.exclusions

    def reason(self, crop: Crop) -> str | None:
        """Return why a crop is set aside, or None when it is not."""
        exclusion = self.exclusions.get(crop.ref)
        return None if exclusion is None else exclusion.reason

    def _read_exclusions(self) -> dict[str, Exclusion]:
        from cellmap_tui.challenge.exclusions import read_exclusions

        if self.data_root is None:
            return {}
        try:
            return read_exclusions(self.data_root)
        except CellmapError as error:
            self.note = f"excluded crops are not marked: {error}"
            return {}


def list_crops(request: BrowseRequest) -> CropsResult:
    """List the crops that a filter keeps.

    Raises
    ------
    RequestError
        If a word of the filter means nothing, or a manifest cannot be read.
    """
    catalog = open_catalog(request.source)
    query, presence = _query(catalog, request), Presence(catalog.data_root)
    rows = crop_rows(_matching(catalog.crops, query, presence), presence)
    return CropsResult(rows, len(catalog.crops), _notes(catalog, presence))


def crop_rows(crops: Iterable[Crop], presence: Presence) -> tuple[CropRow, ...]:
    """Return a row per crop."""
    return tuple(
        CropRow(
            crop=crop.id,
            dataset=crop.dataset,
            split=crop.split,
            classes=crop.classes,
            voxel_size_nm=crop.grid.voxel_size_nm,
            shape=crop.grid.shape,
            local=presence.is_local(crop),
            translation_nm=crop.grid.translation_nm,
            local_share=round(presence.share(crop), 4),
            source=crop.source,
            excluded=presence.reason(crop),
            ref=crop.ref,
        )
        for crop in crops
    )


def list_annotations(request: BrowseRequest) -> AnnotationsResult:
    """List every class of every crop that a filter keeps; raises as `list_crops`.

    Without a word about the split the training crops are listed, as in the published manifest.
    """
    catalog = open_catalog(request.source)
    query, presence = _query(catalog, request), Presence(catalog.data_root)
    annotations = catalog.annotations()
    if not any(term.key in {"split", "crop"} for word in query.words for term in word.terms):
        annotations = tuple(a for a in annotations if a.crop.split == "train")
    kept = query.filter_annotations(annotations, presence.is_local, presence.is_excluded)
    rows = tuple(_annotation_row(annotations[index]) for index in kept)
    return AnnotationsResult(rows, len(annotations), _notes(catalog, presence))


def list_classes(source: CatalogSource | None = None) -> tuple[ClassRow, ...]:
    """List all classes, with the crops that annotate them."""
    return class_rows(open_catalog(source or CatalogSource()))


@dataclass(frozen=True, slots=True)
class ClassInCrop:
    """One class of a crop."""

    name: str
    """Class."""
    id: int | None
    """Its id; None for a class that the table does not know."""
    is_group: bool
    """Whether it stands for other ids."""
    scoring: str | None
    """How it is scored; None: not at all."""
    voxel_size_nm: Vec3
    """Voxel size of its labels, z, y, x."""
    translation_nm: Vec3
    """Centre of their first voxel, z, y, x."""
    shape: Shape3
    """Their voxels, z, y, x."""
    local: bool
    """Whether its labels are on disk."""
    path: str
    """Its multiscale group, below the data root or the bucket."""


@dataclass(frozen=True, slots=True)
class CropDetail:
    """Everything that the tables say about one crop."""

    row: CropRow
    """Its row."""
    classes: tuple[ClassInCrop, ...]
    """Its classes, in the order of their ids."""
    extent_nm: Vec3
    """Edge lengths, z, y, x."""
    lower_nm: Vec3
    """Lower corner in the world, z, y, x."""
    upper_nm: Vec3
    """Upper corner in the world, z, y, x."""
    is_anisotropic: bool
    """Whether the axes differ in voxel size."""
    path: str
    """Its folder of labels, below the data root or the bucket."""
    em_path: str
    """Multiscale group of the EM around it, below the data root or the bucket."""
    s3_address: str
    """Address of its labels in the bucket; empty for a crop that is not in it."""
    local_path: str
    """Its folder on disk; empty without a data root."""


def crop_detail(catalog: Catalog, ref: str, *, bucket: str = "janelia-cosem-datasets") -> CropDetail:
    """Return everything about the crop called `ref`; raises as `Catalog.find`."""
    crop = catalog.find(ref)
    presence = Presence(catalog.data_root)
    on_disk = local_classes(catalog.data_root, crop) if catalog.data_root is not None else frozenset()
    path = str(crop_path(crop))
    published = crop.source == "challenge"
    return CropDetail(
        row=crop_rows((crop,), presence)[0],
        classes=tuple(_class_in_crop(catalog, annotation, on_disk) for annotation in crop.annotations()),
        extent_nm=crop.grid.extent_nm,
        lower_nm=crop.grid.lower_nm,
        upper_nm=crop.grid.upper_nm,
        is_anisotropic=crop.grid.is_anisotropic,
        path=path,
        em_path=str(crop_em_path(crop)),
        s3_address=f"s3://{bucket}/{path}" if published else "",
        local_path=str(catalog.data_root / path) if catalog.data_root is not None else "",
    )


@dataclass(frozen=True, slots=True)
class CropBox:
    """Where a crop lies in its dataset."""

    ref: str
    """The crop, as ``dataset/crop234``."""
    split: Split
    """Training or test."""
    lower_nm: Vec3
    """Lower corner in the world, z, y, x."""
    upper_nm: Vec3
    """Upper corner in the world, z, y, x."""
    extent_nm: Vec3
    """Edge lengths, z, y, x."""
    voxel_size_nm: Vec3
    """Voxel size of the labels, z, y, x."""
    shape: Shape3
    """Voxels of the labels, z, y, x."""
    class_count: int
    """Annotated (test: scored) classes."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The crops of one dataset."""

    name: str
    """Dataset."""
    crops: tuple[CropBox, ...]
    """Its crops."""
    training_crops: int
    """How many are for training."""
    test_crops: int
    """How many are for testing."""
    annotations: int
    """Training crops times their classes."""
    class_count: int
    """Different classes in its crops."""
    local_crops: int
    """Crops of which anything is on disk."""
    lower_nm: Vec3
    """Lower corner of the box around all crops, z, y, x; the EM reaches further."""
    upper_nm: Vec3
    """Upper corner of that box, z, y, x."""


def dataset_summary(catalog: Catalog, name: str, presence: Presence | None = None) -> DatasetSummary:
    """Return the crops of a dataset with their boxes in the world.

    Raises
    ------
    UnknownNameError
        If there is no such dataset; the remedy names the nearest.
    """
    crops = [crop for crop in catalog.crops if crop.dataset.lower() == name.lower()]
    if not crops:
        near = nearest(name, catalog.datasets)
        raise UnknownNameError(f"no dataset is called {name!r}", f"did you mean {near!r}?" if near else "")
    presence = presence or Presence(catalog.data_root)
    training = [crop for crop in crops if crop.split == "train"]
    return DatasetSummary(
        name=crops[0].dataset,
        crops=tuple(_box(crop) for crop in crops),
        training_crops=len(training),
        test_crops=len(crops) - len(training),
        annotations=sum(len(crop.classes) for crop in training),
        class_count=len({class_name for crop in crops for class_name in crop.classes}),
        local_crops=sum(presence.is_local(crop) for crop in crops),
        lower_nm=_per_axis(min, [crop.grid.lower_nm for crop in crops]),
        upper_nm=_per_axis(max, [crop.grid.upper_nm for crop in crops]),
    )


def _query(catalog: Catalog, request: BrowseRequest) -> Query:
    return catalog.query(request.query)


def _matching(crops: tuple[Crop, ...], query: Query, presence: Presence) -> list[Crop]:
    return [crops[index] for index in query.filter_crops(crops, presence.is_local, presence.is_excluded)]


def _notes(catalog: Catalog, presence: Presence) -> tuple[str, ...]:
    return (*catalog.notes, presence.note) if presence.note else catalog.notes


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


def _class_in_crop(catalog: Catalog, annotation: Annotation, on_disk: frozenset[str]) -> ClassInCrop:
    info = catalog.classes.named(annotation.class_name)
    return ClassInCrop(
        name=annotation.class_name,
        id=None if info is None else info.id,
        is_group=info is not None and info.is_group,
        scoring=None if info is None else info.scoring,
        voxel_size_nm=annotation.grid.voxel_size_nm,
        translation_nm=annotation.grid.translation_nm,
        shape=annotation.grid.shape,
        local=annotation.class_name in on_disk,
        path=str(label_path(annotation.crop, annotation.class_name)),
    )


def _box(crop: Crop) -> CropBox:
    grid = crop.grid
    return CropBox(
        crop.ref,
        crop.split,
        grid.lower_nm,
        grid.upper_nm,
        grid.extent_nm,
        grid.voxel_size_nm,
        grid.shape,
        len(crop.classes),
    )


def _per_axis(choose: Callable[[Iterable[float]], float], corners: list[Vec3]) -> Vec3:
    z, y, x = (choose(values) for values in zip(*corners, strict=True))
    return (z, y, x)


def _folders(data_root: Path | None) -> frozenset[str]:
    """Return the names of the folders below the data root; empty where there is none."""
    if data_root is None:
        return frozenset()
    try:
        with os.scandir(data_root) as entries:
            return frozenset(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return frozenset()
