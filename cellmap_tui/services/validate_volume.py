"""One volume of a submission: its metadata against the test crop, and what its voxels hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, DataError
from cellmap_tui.services.validate_layout import PACK
from cellmap_tui.services.validate_model import Finding
from cellmap_tui.text import nearest, printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3
    from cellmap_tui.services.submission_tree import SubmissionTree
    from cellmap_tui.services.validate_model import CoverageState


TOLERANCE = 1e-3
EXACT_FLOAT_IDS = {2: 2**11, 4: 2**24, 8: 2**53}
"""Largest id that a float of so many bytes tells from its neighbour."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the metadata of an array say."""

    dtype: str
    """Type of the voxels, as numpy names it."""
    shape: Shape3
    """Voxels."""
    voxel_size_nm: Vec3 | None
    """Voxel size; None: not said."""
    translation_nm: Vec3 | None
    """Centre of voxel 0; None: not said."""


@dataclass(slots=True)
class Look:
    """What a volume turned out to be."""

    state: CoverageState
    """What there is."""
    findings: list[Finding]
    """What is wrong with it."""


def look_at(
    tree: SubmissionTree,
    path: str,
    target: Grid,
    *,
    where: str,
    is_instance: bool,
    quick: bool,
    checkpoint: Callable[[], None],
) -> Look:
    """Look at one required volume.

    Parameters
    ----------
    path
        Where it lies in the submission.
    target
        Grid of the test crop.
    where
        What to call it.
    is_instance
        Whether the class is scored object by object.
    quick
        Do not read voxels.
    checkpoint
        Called between chunks; may raise to stop.
    """
    invisible = _not_an_array(tree, path, where)
    if invisible is not None:
        return Look("wrong", [invisible])
    try:
        header = read_header(tree, path)
        findings = [*_geometry(header, target, where), *_type(header, where, is_instance=is_instance)]
        is_empty = not tree.has_chunks(path)
        if not (quick or is_empty):
            voxels = _look_through(tree, path, header, checkpoint)
            is_empty = voxels.is_empty
            findings += _content(voxels, header, target, where, is_instance=is_instance)
    except CellmapError as error:
        fix = error.remedy or PACK
        return Look("wrong", [Finding("error", "broken", where, error.message, fix)])
    return Look("empty" if is_empty else "present", findings)


def read_header(tree: SubmissionTree, path: str) -> Header:
    """Read the metadata of an array.

    Raises
    ------
    DataError
        If they are damaged.
    """
    from cellmap_tui.volumes.metadata import parse_json
    from cellmap_tui.volumes.ngff import TRANSLATION_KEYS, VOXEL_SIZE_KEYS

    array = parse_json(tree.read(f"{path}/.zarray"), Path(f"{path}/.zarray"))
    attributes = f"{path}/.zattrs"
    found: dict[str, Any] = {}
    if attributes in tree.sizes:
        node = parse_json(tree.read(attributes), Path(attributes))
        for kind, names in (("size", VOXEL_SIZE_KEYS), ("offset", TRANSLATION_KEYS)):
            value = next((node.find(name) for name in names if node.find(name) is not None), None)
            found[kind] = None if value is None else value.positive3() if kind == "size" else value.vec3()
    return Header(array.get("dtype").text(), array.get("shape").shape3(), found.get("size"), found.get("offset"))


def unknown_label(crop: str, label: str, classes: Sequence[str]) -> Finding:
    """Return what there is to say about a volume that is not scored in its crop."""
    near = nearest(label, classes)
    hint = f"did you mean {near}?" if near and near != label else "it is left out of the score"
    return Finding("note", "name", f"{crop}/{printable(label)}", "is not scored in this crop", hint)


def _not_an_array(tree: SubmissionTree, path: str, where: str) -> Finding | None:
    """Return why the official scorer would not see a volume, or None."""
    if f"{path}/.zarray" in tree.sizes:
        return None
    if any(name in tree.sizes for name in (f"{path}/zarr.json", f"{path}/s0/zarr.json")):
        problem = "Zarr v3, which the official scorer takes for missing without a word"
        return Finding("error", "format", where, problem, f"write Zarr v2 (zarr_format=2); {PACK}")
    inner = next((name for name in ("s0", "0") if f"{path}/{name}/.zarray" in tree.sizes), None)
    if inner is not None or f"{path}/.zgroup" in tree.sizes:
        problem = "a group, which the official scorer takes for missing"
        return Finding(
            "error", "group", where, problem, f"write the array itself to {where}, without {inner or 's0'}"
        )
    return Finding("error", "broken", where, "has no .zarray, so it is no array", PACK)


def _geometry(header: Header, target: Grid, where: str) -> Iterator[Finding]:
    size, expected = header.voxel_size_nm, target.voxel_size_nm
    if size is None:
        problem = "no voxel size: taken for the crop's, and centred on it"
        fix = f"write voxel_size {list(expected)} and translation {list(target.translation_nm)} into .zattrs"
        yield Finding("warning", "voxel_size", where, problem, fix)
        if header.shape != target.shape:
            yield _wrong_shape(header.shape, target, where)
        return
    if not all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(size, expected, strict=True)):
        problem = f"voxel size {voxel(size)} nm, the crop's is {voxel(expected)} nm: it will be resampled"
        yield Finding("warning", "voxel_size", where, problem, f"resample it yourself and look at it; {PACK}")
    elif header.shape != target.shape:
        yield _wrong_shape(header.shape, target, where)
    yield from _offset(header, target, where)
    extent = [n * s for n, s in zip(header.shape, size, strict=True)]
    if any(abs(a - b) >= s for a, b, s in zip(extent, target.extent_nm, expected, strict=True)):
        problem = f"covers {triple(extent)} nm, the crop {triple(target.extent_nm)} nm: cut off or filled with zeros"
        if header.shape != target.shape and voxel(size) != voxel(expected):
            yield Finding("error", "shape", where, problem, "predict exactly the crop")


def _wrong_shape(shape: Shape3, target: Grid, where: str) -> Finding:
    problem = f"shape {triple(shape)}, the crop has {triple(target.shape)}: cut off or filled with zeros"
    return Finding("error", "shape", where, problem, "predict exactly the crop; axes are z, y, x")


def _offset(header: Header, target: Grid, where: str) -> Iterator[Finding]:
    size = header.voxel_size_nm or target.voxel_size_nm
    if header.translation_nm is None:
        problem = "no translation: taken for the crop's"
        fix = f"write translation {list(target.translation_nm)} into .zattrs"
        yield Finding("warning", "offset", where, problem, fix)
        return
    # The centre of voxel 0 moves by half the difference of the voxel sizes.
    shifts = [
        found - (wanted + (fine - coarse) / 2)
        for found, wanted, fine, coarse in zip(
            header.translation_nm, target.translation_nm, size, target.voxel_size_nm, strict=True
        )
    ]
    # Tools that put the corner instead of the centre are off by half a voxel, which is floored away.
    if any(abs(shift) > s / 2 + TOLERANCE for shift, s in zip(shifts, target.voxel_size_nm, strict=True)):
        problem = f"translation {triple(header.translation_nm, ' ')} nm, off by {triple(shifts, ' ')} nm"
        fix = f"the centre of voxel 0 is at {triple(target.translation_nm, ' ')} nm"
        yield Finding("error", "offset", where, problem, fix)


def _type(header: Header, where: str, *, is_instance: bool) -> Iterator[Finding]:
    import numpy as np

    try:
        kind = np.dtype(header.dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "buif":
        yield Finding("error", "dtype", where, f"type {printable(header.dtype)} holds no numbers", PACK)
    elif is_instance and kind.kind == "f":
        problem = f"object ids as {kind}: blurred into one another wherever they are resampled"
        yield Finding("warning", "dtype", where, problem, "write whole numbers, uint16 or uint32")


@dataclass(slots=True)
class _Voxels:
    has_nan: bool = False
    is_empty: bool = True
    lowest: float = 0.0
    highest: float = 0.0
    has_fractions: bool = False
    has_probabilities: bool = False


def _look_through(tree: SubmissionTree, path: str, header: Header, checkpoint: Callable[[], None]) -> _Voxels:
    """Read a volume slab by slab."""
    import numpy as np
    import zarr

    from cellmap_tui.volumes.ngff import CHUNK_LIMIT_BYTES

    found = _Voxels()
    store = tree.store()
    try:
        array: Any = zarr.open_array(store, path=path, mode="r", zarr_format=2)
        if math.prod(array.chunks) * array.dtype.itemsize >= CHUNK_LIMIT_BYTES:
            raise DataError(f"{printable(path)}: one chunk is larger than 2 GiB", "write smaller chunks")
        for start, stop in _blocks(array.shape, array.chunks):
            checkpoint()
            block = np.asarray(array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])
            _take_in(found, block)
    except CellmapError:
        raise
    except Exception as error:  # noqa: BLE001 - codecs and zarr raise whatever they like on foreign data
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"a chunk cannot be read: {printable(reason)}", PACK) from None
    finally:
        store.close()
    return found


def _blocks(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the boxes of single chunks, so that memory stays that of one."""
    import itertools

    ranges = (range(0, n, c) for n, c in zip(shape, chunks, strict=True))
    for start in itertools.product(*ranges):
        yield list(start), [min(a + c, n) for a, c, n in zip(start, chunks, shape, strict=True)]


def _take_in(found: _Voxels, block: Any) -> None:
    import numpy as np

    if block.dtype.kind == "f":
        finite = np.isfinite(block)
        found.has_nan |= not bool(finite.all())
        block = block[finite]
        found.has_fractions |= bool((block != np.rint(block)).any())
        found.has_probabilities |= bool(((block > 0) & (block < 1)).any())
    if not block.size or not block.any():
        return
    found.is_empty = False
    found.lowest = min(found.lowest, float(block.min()))
    found.highest = max(found.highest, float(block.max()))


def _content(found: _Voxels, header: Header, target: Grid, where: str, *, is_instance: bool) -> Iterator[Finding]:
    import numpy as np

    kind = np.dtype(header.dtype)
    if found.has_nan:
        problem = "holds NaN or infinity, which spread when it is resampled"
        yield Finding("error", "nan", where, problem, "put 0 in their place")
    if found.lowest < 0:
        fix = "use 0 for background and numbers above it for the class"
        yield Finding("error", "ids", where, f"holds negative values, down to {found.lowest:g}", fix)
    if is_instance:
        yield from _lost_ids(found, kind, where)
    elif found.has_probabilities and header.voxel_size_nm in (None, target.voxel_size_nm):
        problem = "holds values between 0 and 1: at the crop's voxel size everything above 0 is foreground"
        yield Finding("error", "dtype", where, problem, "threshold it first: cellmap-tui process")


def _lost_ids(found: _Voxels, kind: Any, where: str) -> Iterator[Finding]:
    if kind.kind == "f" and (found.has_fractions or found.highest > EXACT_FLOAT_IDS.get(kind.itemsize, 2**53)):
        reason = "fractions" if found.has_fractions else f"ids up to {found.highest:.0f}"
        yield Finding("error", "ids", where, f"{kind} holds {reason}: objects run together", "write whole numbers")
    if (
        kind.kind in "ui"
        and kind.itemsize <= 2
        and found.highest == 2 ** (8 * kind.itemsize - (kind.kind == "i")) - 1
    ):
        problem = f"ids reach {found.highest:.0f}, the last that {kind} holds: were larger ones cut off?"
        yield Finding("warning", "ids", where, problem, "write them as uint32")
