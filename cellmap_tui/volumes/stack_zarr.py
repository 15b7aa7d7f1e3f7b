"""Zarr arrays of either format, alone or as the finest level of an OME group."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import printable
from cellmap_tui.volumes.stack_source import IndexedSource, length_nm, three_lengths

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.grid import Vec3

_METADATA = ("zarr.json", ".zarray", ".zgroup")
_LISTED = 8


class ZarrSource(IndexedSource):
    """A zarr array, or the finest level of a multiscale group."""

    def __init__(self, path: Path) -> None:
        node = _open(path)
        multiscale: dict[str, Any] = {}
        if hasattr(node, "shape"):
            self._array_path = path
            level = path.name
            if is_zarr(path.parent):
                multiscale = _multiscale(_open(path.parent))
        else:
            multiscale = _multiscale(node)
            level = _level_name(node, multiscale, path)
            self._array_path = path / level
            node = _open(self._array_path)
        if not hasattr(node, "shape"):
            raise DataError(f"{self._array_path} is a zarr group, not an array", "name an array")
        super().__init__(node, str(self._array_path))
        self._read_axes(multiscale, level)

    def close(self) -> None:
        """Nothing is held open."""

    def identity(self) -> dict[str, object]:
        """Return path and shape, and when the array's metadata was written; its chunks are not listed."""
        meta = next(self._array_path / name for name in _METADATA if (self._array_path / name).is_file())
        stat = meta.stat()
        return {"path": str(self._array_path.absolute()), "shape": list(self.shape), "modified_ns": stat.st_mtime_ns}

    def _read_axes(self, multiscale: dict[str, Any], level: str) -> None:
        """Take order, voxel size and translation from OME metadata; what is malformed counts as not declared."""
        names, units = _axes(multiscale)
        if len(names) != self._ndim or not {"y", "x"} <= set(names):
            return
        kept = [names[axis] if axis is not None else "z" for axis in self._kept]
        if sorted(kept) != ["x", "y", "z"]:
            return
        self.axes = "".join(kept)
        scale, translation = _transforms(multiscale, level, len(names))
        order = [names.index(axis) if axis in names else None for axis in "zyx"]
        self.voxel_size_nm = three_lengths(
            [None if i is None or not scale else length_nm(scale[i], units[i]) for i in order]
        )
        if self.voxel_size_nm is not None and translation and None not in order:
            self.translation_nm = _positions(translation, units, [i for i in order if i is not None])


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr array or group."""
    return any((path / name).is_file() for name in _METADATA)


def _open(path: Path) -> Any:
    import zarr

    if not is_zarr(path):
        raise MissingDataError(
            f"{path} is not a zarr array or group", "name the folder that has .zarray or zarr.json"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return zarr.open(str(path), mode="r")
    except Exception as error:  # noqa: BLE001 - foreign metadata can fail in any way inside zarr
        raise DataError(f"{path}: zarr metadata cannot be read: {error}") from None


def _multiscale(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    ome = attributes.get("ome")
    scales = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    first = scales[0] if isinstance(scales, list) and scales else {}
    return first if isinstance(first, dict) else {}


def _level_name(group: Any, multiscale: dict[str, Any], path: Path) -> str:
    for entry in _entries(multiscale):
        return str(entry.get("path", "s0"))
    arrays = [name for name, _ in group.arrays()]
    for name in ("s0", "0"):
        if name in arrays:
            return name
    if len(arrays) == 1:
        return str(arrays[0])
    names = sorted(arrays) or sorted(name for name, _ in group.groups())
    shown = ", ".join(printable(f"{path.name}/{name}") for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    raise RequestError(f"{path} is a zarr group without one array of its own", f"name one: {shown}{more}")


def _entries(multiscale: dict[str, Any]) -> list[dict[str, Any]]:
    entries = multiscale.get("datasets")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _axes(multiscale: dict[str, Any]) -> tuple[list[str], list[str]]:
    axes = multiscale.get("axes")
    if not isinstance(axes, list):
        return [], []
    described = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    return [str(axis.get("name")) for axis in described], [str(axis.get("unit", "")) for axis in described]


def _transforms(multiscale: dict[str, Any], level: str, ndim: int) -> tuple[list[float], list[float]]:
    """Return scale and translation of a level; empty where they are not declared for every axis."""
    values: dict[str, list[float]] = {"scale": [], "translation": []}
    for entry in _entries(multiscale):
        if entry.get("path") != level:
            continue
        for transform in entry.get("coordinateTransformations") or []:
            kind = transform.get("type") if isinstance(transform, dict) else None
            numbers = transform.get(kind) if kind in values else None
            if isinstance(numbers, list) and len(numbers) == ndim:
                values[str(kind)] = numbers
    return values["scale"], values["translation"]


def _positions(translation: list[float], units: list[str], order: list[int]) -> Vec3 | None:
    factors = [length_nm(1, units[i]) or 0.0 for i in order]
    try:
        z, y, x = (float(translation[i]) * factor for i, factor in zip(order, factors, strict=True))
    except (TypeError, ValueError):
        return None
    return (z, y, x)
