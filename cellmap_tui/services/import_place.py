"""Where an import goes: names, grids, and what is there already. No voxel is read here."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import DEFAULT_EM, em_path
from cellmap_tui.errors import MissingDataError, RefusedError, RequestError
from cellmap_tui.text import printable, triple, voxel

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.classes import ClassInfo
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.services.import_model import ImportRequest
    from cellmap_tui.volumes.stacks import Stack

ATTRIBUTE = "cellmap_tui"
"""Key of the tool's own entry in a group's ``.zattrs``."""

_SAME = 1e-6  # relative; voxel sizes pass through text and JSON


def label_classes(request: ImportRequest) -> dict[str, ClassInfo]:
    """Return the class of each label, by the name that the user gave.

    Raises
    ------
    UnknownNameError
        If the class table does not know one.
    RequestError
        If two names mean the same class.
    """
    from cellmap_tui.challenge.classes import builtin_classes

    classes = {name: builtin_classes().get(name) for name in request.labels}
    names = [info.name for info in classes.values()]
    for name in names:
        if names.count(name) > 1:
            given = " and ".join(key for key, info in classes.items() if info.name == name)
            raise RequestError(f"{given} mean the same class, {name}", "give one stack a class")
    return classes


def check_dataset(request: ImportRequest) -> Crop | None:
    """Make sure that nothing of the challenge or of an earlier import is in the way.

    Returns
    -------
    Crop or None
        The crop of this number that an earlier import registered, if it may be replaced.

    Raises
    ------
    RefusedError
        If the dataset or crop belongs to the challenge or the demo, or exists and may not be replaced.
    """
    from cellmap_tui.challenge.catalog import builtin_catalog
    from cellmap_tui.challenge.local import read_local_crops

    published = [crop for crop in builtin_catalog().crops if crop.dataset.lower() == request.dataset.lower()]
    if published and request.raw:
        raise RefusedError(
            f"{request.dataset} is a dataset of the challenge, whose EM is fetched",
            "choose another name for your own",
        )
    local = [crop for crop in read_local_crops(request.data_root) if crop.dataset == request.dataset]
    for crop in [*published, *local]:
        if crop.id == request.crop and crop.source != "import":
            raise RefusedError(
                f"{crop.ref} is a crop of the {crop.source}", f"choose another number: --crop {_free(local)}"
            )
    existing = next((crop for crop in local if crop.id == request.crop), None)
    if existing and not request.overwrite and (existing.classes or not request.labels):
        raise RefusedError(
            f"{existing.ref} was imported already",
            f"choose another number, such as --crop {_free(local)}, or replace it with --overwrite",
        )
    return existing


def check_disk(request: ImportRequest, needed_bytes: int, free_bytes: int) -> None:
    """Refuse what does not fit on the disk; raises RefusedError."""
    from cellmap_tui.text import size

    if needed_bytes > free_bytes and not request.ignore_disk:
        raise RefusedError(
            f"the import needs up to {size(needed_bytes)} and {request.data_root} has {size(free_bytes)} free",
            "free some space, choose another --data-root, or go on with --ignore-disk",
        )


def free_bytes(data_root: Path) -> int:
    """Return the free space at a folder that may not exist yet.

    Raises
    ------
    RequestError
        If a file stands in its place.
    RefusedError
        If it cannot be written.
    """
    import os

    folder = data_root
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise RequestError(f"data root {data_root}: {folder} is a file", "choose a folder with --data-root")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RefusedError(f"{folder} may not be written", "choose another --data-root or change its permissions")
    return shutil.disk_usage(folder).free


def raw_grid(request: ImportRequest, stack: Stack) -> tuple[Grid, list[str]]:
    """Return the grid of an EM stack and what a person should know about it.

    Raises
    ------
    RequestError
        If the voxel size is neither given nor declared.
    """
    from cellmap_tui.challenge.grid import Grid

    size = request.voxel_size_nm or stack.voxel_size_nm
    if size is None:
        raise RequestError(
            f"{printable(stack.spec)} does not declare its voxel size",
            "give it in nm, z y x: --voxel-size 50 4 4",
        )
    notes = []
    if request.voxel_size_nm is None:
        notes.append(f"voxel size {voxel(size)} nm as the file declares it")
    elif stack.voxel_size_nm is not None and not _agree(size, stack.voxel_size_nm):
        notes.append(f"the file declares {voxel(stack.voxel_size_nm)} nm; {voxel(size)} nm is used as asked")
    place = request.translation_nm or stack.translation_nm or (0.0, 0.0, 0.0)
    return Grid(_floats(size), _floats(place), stack.shape), notes


def existing_grid(request: ImportRequest) -> Grid:
    """Return the grid of the EM that the dataset has already.

    Raises
    ------
    MissingDataError
        If it has none.
    RequestError
        If it lies elsewhere than the request says.
    """
    from cellmap_tui.volumes.ngff import open_multiscale

    path = request.data_root / em_path(request.dataset)
    if not path.is_dir():
        raise MissingDataError(f"dataset {request.dataset} has no {DEFAULT_EM} yet", "give its EM with --raw FILE")
    grid = open_multiscale(path).finest.grid
    for what, given, there in (
        ("voxel size", request.voxel_size_nm, grid.voxel_size_nm),
        ("translation", request.translation_nm, grid.translation_nm),
    ):
        if given is not None and not _agree(given, there):
            raise RequestError(
                f"the EM of {request.dataset} has {what} {triple(there)} nm, not {triple(given)}",
                "leave the option out, or import the EM again with --raw FILE --overwrite",
            )
    return grid


def crop_grid(request: ImportRequest, em: Grid) -> tuple[Grid, Shape3]:
    """Return the grid of the crop at the EM's voxel size, and the EM voxel at which it begins.

    Raises
    ------
    RequestError
        If the box is empty or leaves the EM.
    """
    from cellmap_tui.volumes.geometry import Box, sub_grid

    if request.box is None:
        return em, (0, 0, 0)
    z0, z1, y0, y1, x0, x1 = request.box
    for axis, start, stop, length in zip("zyx", (z0, y0, x0), (z1, y1, x1), em.shape, strict=True):
        if not 0 <= start < stop <= length:
            raise RequestError(
                f"box {axis} {start} to {stop} is not inside the EM, which has {length} voxels along {axis}",
                "give --box Z0 Z1 Y0 Y1 X0 X1 in voxels of the EM, the end one past the last voxel",
            )
    return sub_grid(em, Box((z0, y0, x0), (z1, y1, x1))), (z0, y0, x0)


def label_grid(request: ImportRequest, stack: Stack, em: Grid, crop: Grid, start: Shape3) -> tuple[Grid, Shape3]:
    """Return the grid of a label's crop, and the voxel of its stack at which the crop begins.

    Raises
    ------
    RequestError
        If the stack has neither the shape of the EM nor that of the box.
    """
    from cellmap_tui.challenge.grid import Grid

    if request.label_voxel_size_nm is None:
        if stack.shape == crop.shape:
            return crop, (0, 0, 0)
        if stack.shape == em.shape:
            return crop, start
        raise _wrong_shape(stack, em, crop)
    size = _floats(request.label_voxel_size_nm)
    z, y, x = (low + v / 2 for low, v in zip(crop.lower_nm, size, strict=True))
    grid = Grid(size, (z, y, x), stack.shape)
    lengths = zip(grid.extent_nm, crop.extent_nm, size, crop.voxel_size_nm, strict=True)
    if any(abs(a - b) >= max(v, w) for a, b, v, w in lengths):
        raise RequestError(
            f"{printable(stack.spec)} covers {triple(grid.extent_nm)} nm at {voxel(size)} nm a voxel, "
            f"the crop {triple(crop.extent_nm)} nm",
            "check --label-voxel-size and --box",
        )
    return grid, (0, 0, 0)


def recorded_import(path: Path) -> dict[str, Any]:
    """Return what the group at `path` says of the import that wrote it; empty where it says nothing."""
    try:
        attributes = json.loads((path / ".zattrs").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    own = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    record = own.get("import") if isinstance(own, dict) else None
    return record if isinstance(record, dict) else {}


def _wrong_shape(stack: Stack, em: Grid, crop: Grid) -> RequestError:
    expected = f"the EM has {triple(em.shape)}"
    if crop.shape != em.shape:
        expected += f", the box {triple(crop.shape)}"
    remedy = "crop or resample it to one of these, or give --label-voxel-size when its voxels differ from the EM's"
    if sorted(stack.shape) in (sorted(em.shape), sorted(crop.shape)):
        remedy = "its axes seem to be in another order: give --axes, such as --axes xyz"
    elif crop.shape == em.shape and all(n <= m for n, m in zip(stack.shape, em.shape, strict=True)):
        remedy = f"if it covers a part of the EM, say which: --box Z0 Z1 Y0 Y1 X0 X1 of {triple(stack.shape)} voxels"
    return RequestError(f"{printable(stack.spec)} has {triple(stack.shape)} voxels (z, y, x); {expected}", remedy)


def _agree(first: Vec3, second: Vec3) -> bool:
    return all(abs(a - b) <= _SAME * max(abs(a), abs(b)) for a, b in zip(first, second, strict=True))


def _floats(values: Vec3) -> Vec3:
    z, y, x = (float(value) for value in values)
    return (z, y, x)


def _free(local: list[Crop]) -> int:
    return max((crop.id for crop in local), default=0) + 1
