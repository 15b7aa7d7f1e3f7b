"""Predictions in foreign files: TIFF, NIfTI, HDF5 and NPY, a file per class or label maps as nnU-Net writes them.

A class is a whole file or some values of a label map: by ``--label``, by a mapping file, or by nnU-Net's
own ``dataset.json``, its regions included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.services.evaluate_stacks import NIFTI, StackOptions, is_stack, stack_volumes
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.crops import Annotation, Crop
    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.scoring.sources import Source
    from cellmap_tui.services.pack_model import PackRequest
    from cellmap_tui.volumes.stacks import Stack

NOT_CLASSES = frozenset({"background", "ignore"})
"""Labels that nnU-Net writes into its ``dataset.json`` and that are no class."""


@dataclass(frozen=True, slots=True)
class StackPlace:
    """One class in one stack."""

    file: str
    """The stack, as a person would name it."""
    values: tuple[int, ...]
    """The values that are the class; empty: every value is."""
    voxel_size_nm: Vec3 | None
    """Voxel size, over whatever the file says."""
    translation_nm: Vec3 | None
    """Centre of voxel 0, likewise."""
    axes: str | None
    """Order of the axes where the file does not say it."""

    @property
    def path(self) -> Path:
        """The file, without the name of a dataset in it."""
        return Path(self.file.partition(":/")[0])


def stack_places(
    request: PackRequest, word: str, required: Sequence[Annotation]
) -> dict[tuple[str, str], StackPlace]:
    """Return the required volumes that a stack, a template of stacks or a folder of stacks holds.

    Raises
    ------
    RequestError
        If it is not clear which crop or which class a stack is.
    MissingDataError
        If the mapping file is not there.
    DataError
        If a mapping is wrong.
    """
    labels, cases = _mapping(request, word)
    due = {(annotation.crop.name, annotation.class_name) for annotation in required}
    if "{" in word:
        files = _templated(word, required, labels)
    else:
        crops: list[Crop] = list({annotation.crop.ref: annotation.crop for annotation in required}.values())
        options = _options(request, {name: values[0] for name, values in labels.items()}, cases)
        files = {(v.crop.name, v.label): v.file for v in stack_volumes(word, crops, options)}
    return {
        pair: StackPlace(file, labels.get(pair[1], ()), request.voxel_size_nm, request.translation_nm, request.axes)
        for pair, file in files.items()
        if pair in due
    }


def open_stack_source(place: StackPlace) -> Source:
    """Open a stack as a prediction.

    Raises
    ------
    CellmapError
        If it cannot be read.
    """
    from cellmap_tui.scoring.sources import Source

    stack = _open(place)
    voxels: Any = StackVoxels(stack, place.values)
    size = place.voxel_size_nm or stack.voxel_size_nm
    return Source(voxels, size, place.translation_nm or stack.translation_nm, "array", printable(place.file))


class StackVoxels:
    """A stack, or the voxels of some of its values, read box by box; the last slab is kept for its neighbours.

    Parameters
    ----------
    stack
        The stack.
    values
        The values that are the class; empty: every voxel as it is.
    """

    def __init__(self, stack: Stack, values: tuple[int, ...]) -> None:
        import numpy as np

        self._stack = stack
        self._values = values
        self._slab: tuple[int, int, Any] = (0, 0, None)
        self.shape: Shape3 = stack.shape
        self.dtype: np.dtype[Any] = np.dtype(np.uint8) if values else np.dtype(stack.dtype)

    def read(self, start: Shape3, stop: Shape3) -> Any:
        """Return the voxels of a half-open box."""
        import numpy as np

        first, last, slab = self._slab
        if not (first <= start[0] and stop[0] <= last):
            self._slab = (0, 0, None)  # let go of the last one before the next is read
            first, last, slab = start[0], stop[0], self._stack.read(start[0], stop[0])
            self._slab = (first, last, slab)
        box = slab[start[0] - first : stop[0] - first, start[1] : stop[1], start[2] : stop[2]]
        if not self._values:
            return box
        is_class = box == self._values[0]
        for value in self._values[1:]:
            is_class |= box == value
        return is_class.view(np.uint8)

    def close(self) -> None:
        """Let go of the file."""
        self._slab = (0, 0, None)
        self._stack.close()


def _open(place: StackPlace) -> Stack:
    if place.file.lower().endswith(NIFTI):
        from cellmap_tui.volumes.stack_nifti import open_nifti

        return open_nifti(Path(place.file))
    from cellmap_tui.volumes.stacks import open_stack

    return open_stack(place.file, place.axes)


def _templated(
    word: str, required: Sequence[Annotation], labels: dict[str, tuple[int, ...]]
) -> dict[tuple[str, str], str]:
    """Return the files of a template such as ``out/{crop}/{label}.tif`` that are there."""
    found = {}
    for annotation in required:
        if labels and annotation.class_name not in labels:
            continue
        file = _filled(word, annotation)
        if _is_there(file):
            found[annotation.crop.name, annotation.class_name] = file
    return found


def _is_there(spec: str) -> bool:
    """Return whether a file exists, and holds the dataset that is named with it."""
    file, _, dataset = spec.partition(":/")
    if not Path(file).is_file():
        return False
    if not dataset:
        return True
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            return dataset in opened
    except OSError:  # no HDF5: told when it is opened
        return True


def _filled(template: str, annotation: Annotation) -> str:
    crop = annotation.crop
    try:
        return template.format_map({"dataset": crop.dataset, "crop": crop.name, "label": annotation.class_name})
    except (KeyError, IndexError, ValueError) as error:
        raise RequestError(
            f"template {printable(template)}: {printable(str(error))} is no field",
            "fields are {dataset}, {crop} and {label}",
        ) from None


def _options(request: PackRequest, labels: dict[str, int], cases: dict[str, str]) -> StackOptions:
    return StackOptions(
        classes=request.classes,
        labels=labels,
        cases=cases,
        voxel_size_nm=request.voxel_size_nm,
        translation_nm=request.translation_nm,
        axes=request.axes,
    )


def _mapping(request: PackRequest, word: str) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return the values of classes and the crops of cases, from ``dataset.json``, mapping file and options."""
    labels: dict[str, tuple[int, ...]] = {}
    cases: dict[str, str] = {}
    folders = () if is_stack(word) else (Path(word), Path(word).parent)
    own = next((folder / "dataset.json" for folder in folders if (folder / "dataset.json").is_file()), None)
    if own is not None:
        labels |= _labels(_json(own).get("labels", {}), own)
    if request.mapping is not None:
        given = _json(request.mapping)
        labels |= _labels(given.get("labels", {}), request.mapping)
        found = given.get("cases", {})
        if not isinstance(found, dict):
            raise DataError(f"{request.mapping}: cases is no JSON object", 'for example {"cases": {"case_1": "557"}}')
        cases = {str(name): str(crop) for name, crop in found.items()}
    labels |= {name: (value,) for name, value in request.labels.items()}
    return labels, cases


def _labels(values: object, file: Path) -> dict[str, tuple[int, ...]]:
    if not isinstance(values, dict):
        raise DataError(f"{file}: labels is no JSON object", 'for example {"labels": {"mito": 1}}')
    labels = {}
    for name, value in values.items():
        found = value if isinstance(value, list) else [value]
        if not found or not all(isinstance(v, int) and not isinstance(v, bool) for v in found):
            raise DataError(
                f"{file}: labels.{printable(str(name))} is not a whole number or a list of them",
                "a class is one value of the label map, or several",
            )
        if name not in NOT_CLASSES:
            labels[str(name)] = tuple(found)
    return labels


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise MissingDataError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{file}: no JSON object", 'for example {"labels": {"mito": 1}}')
    return value
