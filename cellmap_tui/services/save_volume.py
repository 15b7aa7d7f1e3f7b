"""`save_volume`: an array from anybody's model, where packing finds it.

For loops of one's own: a volume is checked, written box by box and put in place whole, with the voxel
size and translation that place it on its crop.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.text import printable, triple, voxel

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.crops import Annotation, Crop
    from cellmap_tui.challenge.grid import Grid, Shape3, Vec3

SLAB_BYTES = 64 * 2**20


def save_volume(
    array: Any,
    crop: str | int,
    label: str,
    *,
    data_root: Path,
    folder: str | None = None,
    voxel_size_nm: float | Vec3 | None = None,
    translation_nm: Vec3 | None = None,
    overwrite: bool = False,
    state_dir: Path | None = None,
    test_manifest: str | None = None,
) -> Path:
    """Write one predicted volume where `pack_results` finds it.

    Parameters
    ----------
    array
        Voxels ``[z, y, x]``: a NumPy, Zarr, HDF5, dask or memory-mapped array, or a torch tensor. Foreground above 0
        for semantic classes, ids of objects (0 is background) for instance classes.
    crop
        The test crop: ``557``, ``"crop557"`` or ``"dataset/557"``.
    label
        The class.
    data_root
        Where ``processed/{dataset}.zarr/{crop}/<label>`` is written.
    folder
        Another place: a folder, or a template with ``{dataset}`` and ``{crop}``.
    voxel_size_nm
        Voxel size of the array; None: the crop's, whose shape it then must have.
    translation_nm
        Centre of voxel 0; None: the array begins where the crop begins.
    overwrite
        Whether a volume that is there already is replaced.
    state_dir, test_manifest
        Where the test crops are known from.

    Returns
    -------
    Path
        The array that was written.

    Raises
    ------
    RequestError
        If crop or class do not exist, or it is not clear where the array lies.
    DataError
        If it does not have three axes, or holds NaN, fractions of ids or negative ids.
    RefusedError
        If it is there already, or cannot be written.
    """
    annotation = _annotation(crop, label, state_dir, test_manifest)
    shape, dtype = _facts(array, label)
    grid = _grid(annotation, shape, voxel_size_nm, translation_nm)
    path = _place(annotation.crop, annotation.class_name, data_root, folder)
    _write(array, path, grid, dtype, annotation, overwrite=overwrite)
    return path


def _annotation(crop: str | int, label: str, state_dir: Path | None, test_manifest: str | None) -> Annotation:
    from cellmap_tui.errors import UnknownNameError
    from cellmap_tui.services.catalog import CatalogSource, open_catalog
    from cellmap_tui.text import nearest

    catalog = open_catalog(CatalogSource(state_dir=state_dir, test_manifest=test_manifest))
    found = catalog.find(str(crop))
    if found.split != "test":
        raise RequestError(f"{found.ref} is no test crop", "predictions of test crops are packed; give test_manifest")
    name = catalog.class_name(label)
    for annotation in found.annotations():
        if annotation.class_name == name:
            return annotation
    near = nearest(name, found.classes)
    hint = f"did you mean {near!r}?" if near else f"it has {len(found.classes)} classes"
    raise UnknownNameError(f"{name} is not scored in {found.ref}", hint)


def _facts(array: Any, label: str) -> tuple[Shape3, str]:
    import numpy as np

    shape = tuple(int(n) for n in getattr(array, "shape", ()))
    if len(shape) != 3 or 0 in shape:
        raise DataError(f"{label}: an array of shape {shape}", "give three axes: z, y, x")
    dtype = np.asarray(_box(array, 0, 1)).dtype
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise DataError(f"{label}: values of type {dtype} are no labels", "give whole numbers")
    z, y, x = shape
    return (z, y, x), dtype.str


def _grid(
    annotation: Annotation, shape: Shape3, voxel_size_nm: float | Vec3 | None, translation_nm: Vec3 | None
) -> Grid:
    from cellmap_tui.challenge.grid import Grid

    target = annotation.grid
    name = f"{annotation.crop.name}/{annotation.class_name}"
    if voxel_size_nm is None:
        if shape != target.shape and translation_nm is None:
            raise DataError(
                f"{name}: an array of {triple(shape)} voxels, the crop has {triple(target.shape)} of "
                f"{voxel(target.voxel_size_nm)} nm",
                "give voxel_size_nm if it is another, or translation_nm of its first voxel",
            )
        size = target.voxel_size_nm
    else:
        z, y, x = (float(voxel_size_nm),) * 3 if isinstance(voxel_size_nm, int | float) else voxel_size_nm
        size = (float(z), float(y), float(x))
    if min(size) <= 0:
        raise RequestError(f"{name}: voxel size {triple(size)} nm", "every axis is above 0")
    if translation_nm is None:
        # Centres of voxel 0 lie half a voxel inside the crop's lower corner.
        z, y, x = (t + (s - w) / 2 for t, s, w in zip(target.translation_nm, size, target.voxel_size_nm, strict=True))
        translation_nm = (z, y, x)
    return Grid(size, translation_nm, shape)


def _place(crop: Crop, label: str, data_root: Path, folder: str | None) -> Path:
    from pathlib import Path

    from cellmap_tui.services.pack_sources import DEFAULT_INPUT, below

    template = below(data_root, DEFAULT_INPUT) if folder is None else str(folder)
    if "{" not in template:
        template = f"{template}/{{dataset}}.zarr/{{crop}}"
    try:
        filled = template.format_map({"dataset": crop.dataset, "crop": crop.name, "label": label})
    except (KeyError, IndexError, ValueError) as error:
        raise RequestError(
            f"folder {printable(template)}: {printable(str(error))} is no field", "fields are {dataset} and {crop}"
        ) from None
    path = Path(filled).expanduser().absolute()
    return path if "{label}" in template else path / label


def _write(array: Any, path: Path, grid: Grid, dtype: str, annotation: Annotation, *, overwrite: bool) -> None:
    from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, create_array
    from cellmap_tui.volumes.publish import begin, cannot_write, publish

    if path.exists() and not overwrite:
        raise RefusedError(f"{path} exists already", "pass overwrite=True")
    building = begin(path, overwrite=overwrite)
    attributes = {"voxel_size": list(grid.voxel_size_nm), "translation": list(grid.translation_nm)}
    try:
        target = create_array(building, grid.shape, dtype, attributes=attributes)
        plane_bytes = max(1, grid.shape[1] * grid.shape[2] * target.dtype.itemsize)
        step = max(1, SLAB_BYTES // plane_bytes // DEFAULT_CHUNKS[0]) * DEFAULT_CHUNKS[0]
        for z in range(0, grid.shape[0], step):
            block = _box(array, z, min(z + step, grid.shape[0]))
            _check(block, annotation)
            target[z : z + step] = block
        publish(building, path, overwrite=overwrite)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _check(block: Any, annotation: Annotation) -> None:
    import numpy as np

    from cellmap_tui.scoring.profiles import scoring_of

    name = f"{annotation.crop.name}/{annotation.class_name}"
    if block.dtype.kind == "f" and not np.isfinite(block).all():
        raise DataError(f"{name}: the array holds NaN or infinity", "put 0 in their place")
    if scoring_of(annotation.class_name) != "instance":
        return
    if block.dtype.kind == "f" and (block != np.rint(block)).any():
        raise DataError(f"{name}: ids of objects are whole numbers", "label the objects before saving them")
    if block.dtype.kind in "if" and block.min() < 0:
        raise DataError(f"{name}: the array holds negative ids", "use 0 for background")


def _box(array: Any, start: int, stop: int) -> Any:
    """Return slices of anything array-like as NumPy; torch tensors come from their device."""
    import numpy as np

    block = array[start:stop]
    if hasattr(block, "detach"):
        block = block.detach().cpu()
    return np.asarray(block)
