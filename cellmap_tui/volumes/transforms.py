"""What OME-NGFF attributes say about space: axes, units, and the transformations of a level.

Works on parsed JSON alone, so that it serves folders on disk and objects in a bucket, and needs no numpy.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.volumes.metadata import Node

NM_PER_UNIT = {
    "nanometer": 1.0,
    "nanometers": 1.0,
    "nm": 1.0,
    "angstrom": 0.1,
    "angstroms": 0.1,
    "micrometer": 1e3,
    "micrometers": 1e3,
    "micron": 1e3,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "millimeter": 1e6,
    "mm": 1e6,
}


def only_multiscale(attributes: Node) -> Node:
    """Return the first pyramid that the ``.zattrs`` of a group describe; DataError if there is none."""
    found = attributes.get("multiscales").items()
    if not found:
        raise attributes.get("multiscales").wrong("is empty")
    return found[0]


def units_nm(axes: Node) -> Vec3:
    """Return how many nm the unit of each axis has; DataError unless the axes are z, y, x."""
    names = []
    units = []
    for axis in axes.items():
        name = axis.get("name")
        kind = axis.find("type")
        if kind is not None and kind.value not in ("space", None):
            raise axis.wrong(f"axis {name.text()!r} is of type {kind.value!r}; only volumes of z, y, x are read")
        names.append(name.text())
        units.append(_nm(axis.find("unit")))
    if names != ["z", "y", "x"]:
        raise axes.wrong(f"must be z, y, x in this order, not {', '.join(names) or 'empty'}")
    z, y, x = units
    return (z, y, x)


def _nm(unit: Node | None) -> float:
    if unit is None or unit.value is None:
        return 1.0
    known = NM_PER_UNIT.get(unit.text().lower())
    if known is None:
        raise unit.wrong(f"unknown unit of length {unit.value!r}; use nanometer, micrometer or angstrom")
    return known


def composed(chain: Sequence[Node | None]) -> tuple[Vec3, Vec3]:
    """Return scale and translation of transformations applied one after another.

    NGFF 0.4 applies a level's own list first, then the list of the whole multiscale.
    """
    scale: Vec3 | None = None
    shift = (0.0, 0.0, 0.0)
    for node in (item for items in chain if items is not None for item in items.items()):
        kind = node.get("type")
        if kind.value == "scale":
            by = node.get("scale").positive3()
            scale = _product(scale or (1.0, 1.0, 1.0), by)
            shift = _product(shift, by)
        elif kind.value == "translation":
            z, y, x = (a + b for a, b in zip(shift, node.get("translation").vec3(), strict=True))
            shift = (z, y, x)
        elif kind.value != "identity":
            raise kind.wrong(f"must be scale or translation, not {kind.value!r}")
    if scale is None:
        first = next(items for items in chain if items is not None)
        raise first.wrong("has no scale: the voxel size is not known")
    return scale, shift


def in_nm(lengths: Vec3, units: Vec3) -> Vec3:
    """Return lengths given in the units of the axes in nm."""
    # 12 digits: 0.00524 µm shall be 5.24 nm, not 5.240000000000001
    z, y, x = (a if u == 1.0 else float(f"{a * u:.12g}") for a, u in zip(lengths, units, strict=True))
    return (z, y, x)


def _product(first: Vec3, second: Vec3) -> Vec3:
    z, y, x = (a * b for a, b in zip(first, second, strict=True))
    return (z, y, x)


def plain_path(node: Node) -> str:
    """Return the path of a level below its group; DataError if its text leads anywhere else."""
    name = node.text()
    path = PurePosixPath(name)
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or any(c in name for c in "\\\0") or name != str(path):
        raise node.wrong(f"{name!r} is not a plain path below the group")
    return name
