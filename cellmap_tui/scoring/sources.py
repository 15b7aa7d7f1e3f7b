"""What scoring reads from: anything with a shape that gives boxes of voxels, and says where it lies.

Owns the choice of the array to score where a prediction has several: the official scorer's choice, so
that the same voxels are scored. Metadata are taken as written, in nm, as the official scorer does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cellmap_tui.errors import MissingDataError
from cellmap_tui.scoring.stored import is_array, open_stored, read_node
from cellmap_tui.scoring.stores import join
from cellmap_tui.text import printable
from cellmap_tui.volumes.metadata import Node
from cellmap_tui.volumes.ngff import TRANSLATION_KEYS, VOXEL_SIZE_KEYS

if TYPE_CHECKING:
    import numpy as np

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.scoring.stored import StoredArray
    from cellmap_tui.scoring.stores import Store
    from cellmap_tui.volumes.arrays import Voxels

Form = Literal["array", "group", "multiscale"]
"""How a prediction is stored: one array, a plain group of arrays, or an OME-NGFF group."""


class Volume(Protocol):
    """A three-dimensional array that is read box by box."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return the voxels of a half-open box that lies inside."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A volume that is an array already."""

    array: Voxels
    """Its voxels, z, y, x."""

    @property
    def shape(self) -> Shape3:
        """Voxels on each axis."""
        z, y, x = self.array.shape
        return (z, y, x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its voxels."""
        return self.array.dtype

    def read(self, start: Shape3, stop: Shape3) -> Voxels:
        """Return a view of a box."""
        return self.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]


@dataclass(frozen=True, slots=True)
class Source:
    """A prediction as it is stored, and where it says it lies."""

    volume: Volume
    """Its voxels."""
    voxel_size_nm: Vec3 | None
    """Voxel size; None where it does not say."""
    translation_nm: Vec3 | None
    """Translation; None where it does not say."""
    form: Form
    """How it is stored."""
    name: str
    """Where it is, for people."""


def open_source(store: Store, key: str, target_voxel_size_nm: Vec3) -> Source:
    """Open the array that the official scorer would read for a crop of this voxel size.

    An array stands for itself. In an OME-NGFF group it is the last level, in the order they are listed,
    before one that is coarser than the crop on some axis. In a plain group it is the array nearest in
    voxel size, those not coarser first.

    Raises
    ------
    MissingDataError
        If there is nothing to read.
    DataError
        If metadata are wrong; names file and key.
    """
    if is_array(store, key):
        array = open_stored(store, key)
        return _source(array, voxel_size_of(array.attributes), translation_of(array.attributes), "array")
    attributes = read_node(store, join(key, ".zattrs"))
    if attributes is not None and attributes.find("multiscales") is not None:
        return _multiscale_source(store, key, attributes, target_voxel_size_nm)
    return _group_source(store, key, target_voxel_size_nm)


def voxel_size_of(attributes: Node) -> Vec3 | None:
    """Return the voxel size that the attributes of an array hold under any of its names."""
    node = _first_of(attributes, VOXEL_SIZE_KEYS)
    return None if node is None else _last3(node).positive3()


def translation_of(attributes: Node) -> Vec3 | None:
    """Return the translation that the attributes of an array hold under any of its names."""
    node = _first_of(attributes, TRANSLATION_KEYS)
    return None if node is None else _last3(node).vec3()


def _first_of(attributes: Node, names: tuple[str, ...]) -> Node | None:
    found = (attributes.find(name) for name in names)
    return next((node for node in found if node is not None), None)


def _last3(node: Node) -> Node:
    """Return the last three values: a channel axis stands first."""
    items = node.items()
    return Node([item.value for item in items[-3:]], node.file, node.key) if len(items) > 3 else node


def _source(array: StoredArray, voxel_size_nm: Vec3 | None, translation_nm: Vec3 | None, form: Form) -> Source:
    return Source(array, voxel_size_nm, translation_nm, form, array.name)


def _multiscale_source(store: Store, key: str, attributes: Node, target_nm: Vec3) -> Source:
    found = attributes.get("multiscales").items()
    if not found:
        raise attributes.get("multiscales").wrong("is empty")
    datasets = found[0].get("datasets").items()
    if not datasets:
        raise found[0].get("datasets").wrong("names no level")
    chosen = datasets[0]
    for dataset in datasets:
        scale = _transform(dataset, "scale")
        if scale is None:
            raise dataset.wrong("has no scale: the voxel size is not known")
        if any(have > want for have, want in zip(scale.positive3(), target_nm, strict=True)):
            break
        chosen = dataset
    scale, shift = _transform(chosen, "scale"), _transform(chosen, "translation")
    array = open_stored(store, join(key, _inner_path(chosen.get("path"))))
    size = scale.positive3() if scale is not None else None
    return _source(array, size, shift.vec3() if shift is not None else None, "multiscale")


def _transform(dataset: Node, kind: str) -> Node | None:
    items = dataset.get("coordinateTransformations").items()
    found = [item.get(kind) for item in items if item.get("type").value == kind]
    return _last3(found[-1]) if found else None


def _inner_path(node: Node) -> str:
    name = node.text()
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or str(path) != name:
        raise node.wrong(f"{name!r} is not a plain path below the group")
    return name


def _group_source(store: Store, key: str, target_nm: Vec3) -> Source:
    names = [name for name in store.folders(key) if is_array(store, join(key, name))]
    if not names:
        where = printable(str(store.path / key))
        is_v3 = store.has(join(key, "zarr.json"))
        what = "is Zarr v3; challenge data are Zarr v2" if is_v3 else "has no Zarr v2 array"
        raise MissingDataError(f"{where} {what}", "write it as a Zarr v2 array")
    arrays = [open_stored(store, join(key, name)) for name in names]
    sizes = [voxel_size_of(array.attributes) for array in arrays]
    index = min(range(len(arrays)), key=lambda i: _distance(sizes[i], target_nm))
    return _source(arrays[index], sizes[index], translation_of(arrays[index].attributes), "group")


def _distance(size_nm: Vec3 | None, target_nm: Vec3) -> float:
    """Return how far a voxel size is from the wanted one; coarser ones and unknown ones come last."""
    if size_nm is None:
        return 1e18
    is_coarser = any(have > want for have, want in zip(size_nm, target_nm, strict=True))
    return math.dist(size_nm, target_nm) + (1e6 if is_coarser else 0.0)
