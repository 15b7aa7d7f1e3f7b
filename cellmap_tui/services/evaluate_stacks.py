"""Predictions in foreign files, brought into the layout that is scored: stacks, and folders as nnU-Net writes them.

A stack is copied slab by slab into plain arrays in a scratch folder, one per class, with its voxel
size and translation as attributes; its values are never narrowed. Where nothing says its voxel size,
none is written, and the scorer takes the crop's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.volumes.stacks import Stack

NIFTI = (".nii", ".nii.gz")
STACKS = (".tif", ".tiff", ".npy", *NIFTI)
_HDF5 = re.compile(r"\.(h5|hdf5|hdf|he5)(:|$)", re.IGNORECASE)
_CROP = re.compile(r"(?:^|[^a-z0-9])(?:crop)?0*(\d+)$", re.IGNORECASE)
SLAB_BYTES = 32 * 2**20

Values = int | tuple[int, ...]
"""A value in a stack, or the values of one of nnU-Net's regions."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What the files do not say."""

    classes: tuple[str, ...]
    """Classes that were asked for; empty: all that the labels name."""
    labels: Mapping[str, Values]
    """Class to its values in the stack; empty: the stack is one class."""
    cases: dict[str, str]
    """File name without its suffix to the crop it belongs to."""
    voxel_size_nm: Vec3 | None
    """Voxel size, over whatever the file says."""
    translation_nm: Vec3 | None
    """Centre of voxel 0, likewise."""
    axes: str | None
    """Order of the axes where the file does not say it."""


@dataclass(frozen=True, slots=True)
class StackVolume:
    """One class in one stack."""

    crop: Crop
    """The crop it belongs to."""
    label: str
    """The class."""
    file: str
    """The stack."""
    value: Values | None
    """The values that are the class; None: every value is."""


def is_stack(predictions: str) -> bool:
    """Return whether a word names a stack, not a zarr or a folder of predictions."""
    return predictions.lower().endswith(STACKS) or _HDF5.search(predictions) is not None


def is_case_folder(folder: Path) -> bool:
    """Return whether a folder holds stacks, a file per crop."""
    return folder.is_dir() and any(_is_case(entry) for entry in folder.iterdir())


def read_mapping(path: Path | None, folder: Path | None) -> tuple[dict[str, Values], dict[str, str]]:
    """Return the labels and cases that a mapping file and nnU-Net's own ``dataset.json`` name.

    Raises
    ------
    DataError
        If a file is not JSON or does not hold ``labels`` and ``cases`` as objects.
    """
    labels: dict[str, Values] = {}
    cases: dict[str, str] = {}
    own = (
        None if folder is None else next((f for f in (folder, folder.parent) if (f / "dataset.json").is_file()), None)
    )
    if own is not None:
        found = _json(own / "dataset.json").get("labels")
        labels = _labels(found if isinstance(found, dict) else {}, own / "dataset.json")
    if path is not None:
        given = _json(path)
        labels = {**labels, **_labels(given.get("labels", {}), path)}
        cases = {str(name): str(crop) for name, crop in _object(given.get("cases", {}), path, "cases").items()}
    return labels, cases


def stack_volumes(predictions: str, crops: Sequence[Crop], options: StackOptions) -> list[StackVolume]:
    """Return what a stack, or a folder of stacks, holds: a row per crop and class.

    Raises
    ------
    RequestError
        If it is not clear which crop or which class a stack is.
    """
    if not is_stack(predictions):
        return _case_volumes(Path(predictions), crops, options)
    if len(crops) != 1:
        raise RequestError(
            f"{predictions} is one stack, and {len(crops)} crops are named", "name the one crop it belongs to"
        )
    return _volumes(crops[0], predictions, options)


def copy_stack(volume: StackVolume, target: Path, options: StackOptions, checkpoint: Callable[[], None]) -> None:
    """Write one class of a stack as a plain array, unless it is there already.

    Raises
    ------
    CellmapError
        If the stack cannot be read.
    """
    import shutil

    from cellmap_tui.volumes.publish import begin, cannot_write, publish

    if target.exists():
        return
    building = begin(target, overwrite=False)
    try:
        with _open(volume.file, options) as stack:
            _copy(stack, building, volume.value, options, checkpoint)
        publish(building, target, overwrite=False)
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _copy(
    stack: Stack, building: Path, value: Values | None, options: StackOptions, checkpoint: Callable[[], None]
) -> None:
    import numpy as np

    from cellmap_tui.volumes.arrays import DEFAULT_CHUNKS, create_array

    dtype = stack.dtype if value is None else "uint8"
    array = create_array(building, stack.shape, dtype, attributes=_attributes(stack, options))
    plane_bytes = max(1, stack.shape[1] * stack.shape[2] * stack.dtype.itemsize)
    step = max(1, SLAB_BYTES // plane_bytes // DEFAULT_CHUNKS[0]) * DEFAULT_CHUNKS[0]
    for z in range(0, stack.shape[0], step):
        checkpoint()
        block = stack.read(z, min(z + step, stack.shape[0]))
        array[z : z + step] = block if value is None else np.isin(block, value)


def _volumes(crop: Crop, file: str, options: StackOptions) -> list[StackVolume]:
    if options.labels:
        wanted = options.classes or tuple(name for name in options.labels if name in crop.classes)
        unknown = [name for name in wanted if name not in options.labels]
        if unknown:
            near = nearest(unknown[0], options.labels)
            raise RequestError(
                f"no label value is known for {unknown[0]}", f"give --label {near or unknown[0]}=VALUE"
            )
        return [StackVolume(crop, name, file, options.labels[name]) for name in wanted]
    if len(options.classes) != 1:
        raise RequestError(
            f"which class {printable(file)} holds is not clear",
            "name it with --classes, or several with --label CLASS=VALUE",
        )
    return [StackVolume(crop, options.classes[0], file, None)]


def _case_volumes(folder: Path, crops: Sequence[Crop], options: StackOptions) -> list[StackVolume]:
    volumes: list[StackVolume] = []
    for file in sorted(entry for entry in folder.iterdir() if _is_case(entry)):
        crop = _crop_of(_case_name(file), crops, options.cases)
        if crop is not None:
            volumes += _volumes(crop, str(file), options)
    if not volumes:
        names = ", ".join(crop.name for crop in crops[:5])
        raise RequestError(
            f"no file in {folder} is named after one of the crops {names}",
            'say which is which with --mapping FILE: {"cases": {"case_001": "234"}}',
        )
    return volumes


def _crop_of(case: str, crops: Sequence[Crop], cases: dict[str, str]) -> Crop | None:
    if case in cases:
        wanted = cases[case]
        return next((c for c in crops if wanted in (c.ref, c.name, str(c.id), f"{c.dataset}/{c.id}")), None)
    match = _CROP.search(case)
    found = [crop for crop in crops if match and crop.id == int(match[1])]
    named = [crop for crop in found if crop.dataset in case]
    if len(named or found) > 1:
        raise RequestError(f"{case}: crop {found[0].id} exists in several datasets", "say which with --mapping FILE")
    return (named or found or [None])[0]  # type: ignore[list-item]


def _is_case(entry: Path) -> bool:
    return entry.name.lower().endswith(STACKS) and entry.is_file()


def _case_name(file: Path) -> str:
    suffix = next(suffix for suffix in (".nii.gz", file.suffix) if file.name.lower().endswith(suffix.lower()))
    return file.name[: -len(suffix)]


def _open(file: str, options: StackOptions) -> Stack:
    if file.lower().endswith(NIFTI):
        from cellmap_tui.volumes.stack_nifti import open_nifti

        return open_nifti(Path(file))
    from cellmap_tui.volumes.stacks import open_stack

    return open_stack(file, options.axes)


def _attributes(stack: Stack, options: StackOptions) -> dict[str, Any]:
    size = options.voxel_size_nm or stack.voxel_size_nm
    translation = options.translation_nm or stack.translation_nm
    found = {"voxel_size": size, "translation": translation}
    return {name: list(value) for name, value in found.items() if value is not None}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise MissingDataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    return _object(value, path, "content")


def _object(value: object, path: Path, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {what} is no JSON object", 'for example {"labels": {"mito": 1}}')
    return value


def _labels(values: object, path: Path) -> dict[str, Values]:
    labels: dict[str, Values] = {}
    for name, value in _object(values, path, "labels").items():
        if name == "background":
            continue
        several = value if isinstance(value, list) else [value]
        if not several or not all(isinstance(one, int) and not isinstance(one, bool) for one in several):
            raise DataError(
                f"{path}: labels.{printable(name)} is not a whole number",
                "a label has one value, or as a region of nnU-Net a list of them",
            )
        labels[name] = tuple(several) if isinstance(value, list) else value
    return labels
