"""What there is to know about a crop, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.grid import Shape3, Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.layout import crop_em_path, crop_path, label_path, local_classes
from cellmap_tui.services.crop_rows import CropRow, crop_rows
from cellmap_tui.services.presence import Presence

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation


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
