"""Predictions of a crop that lie in a folder or a zip, placed on the crop's voxels as scoring places them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import label_path
from cellmap_tui.errors import MissingDataError
from cellmap_tui.services.evaluate_targets import LAYOUTS
from cellmap_tui.services.predicted_planes import EvaluatedCrop, PredictedPlanes, without
from cellmap_tui.volumes.planes import PixelPlane, PlaneCache, Predicted, Sampled, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.scoring.sources import Volume

DEFAULT_FOLDERS = {"predictions": "predictions", "processed": "processed"}
"""Folder below the data root in which each kind of prediction lies unless another is named."""


def default_places(data_root: Path) -> dict[str, str]:
    """Return where predictions and processed predictions lie unless somebody says otherwise."""
    return {kind: str(data_root / folder) for kind, folder in DEFAULT_FOLDERS.items()}


def open_predictions(
    predictions: str, crop: Crop, data_root: Path, *, classes: tuple[str, ...] = (), mapping: Path | None = None
) -> Predicted:
    """Return the predictions of a crop, from whatever `evaluate` takes as predictions.

    Parameters
    ----------
    predictions
        A folder, a template with ``{dataset}`` and ``{crop}``, a zip, or a stack.
    crop
        The crop.
    data_root
        Folder of the data: the truth of stacks is there.
    classes, mapping
        What a stack holds, as in an `EvaluateRequest`.

    Raises
    ------
    MissingDataError
        If nothing of this crop is there.
    """
    from cellmap_tui.services.evaluate_stacks import is_case_folder, is_stack

    if is_stack(predictions) or is_case_folder(Path(predictions)):
        from cellmap_tui.services.evaluate_model import EvaluateRequest

        request = EvaluateRequest(
            predictions=predictions, crops=crop.ref, data_root=data_root, classes=classes, mapping=mapping
        )
        return EvaluatedCrop(PredictedPlanes(request), crop.name)
    found = PredictedFolder(predictions, crop, data_root)
    if not found.classes:
        raise MissingDataError(
            f"{predictions} has no prediction of {crop.ref}",
            f"expected for example {LAYOUTS[0].format(dataset=crop.dataset, crop=crop.name)}/<class> below it",
        )
    return found


def has_predictions(predictions: str, crop: Crop) -> bool:
    """Return whether a folder or template has anything of a crop; nothing is read."""
    return next(class_folders(predictions, crop), None) is not None


class PredictedFolder:
    """The predictions of one crop in a folder, one array or group a class.

    Parameters
    ----------
    predictions
        A folder in one of the layouts that `evaluate` knows, a template, or a zip.
    crop
        The crop.
    data_root
        Folder of the data, with the truth.
    """

    def __init__(self, predictions: str, crop: Crop, data_root: Path) -> None:
        self._crop = crop
        self._data_root = data_root
        self._places = _places(predictions, crop)
        self._volumes: dict[str, Volume | None] = {}
        self._unknown: dict[str, int | None] = {}
        self._cache = PlaneCache()

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that are predicted."""
        return tuple(self._places)

    def prediction(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what was predicted at each pixel; None where the class is not predicted.

        Raises
        ------
        DataError
            If the prediction cannot be read.
        """
        if label not in self._places:
            return None
        key = f"prediction {label}"
        if key not in self._volumes:
            self._volumes[key] = self._aligned(label)
        volume = self._volumes[key]
        return None if volume is None else sample(self._cache, key, volume, self._crop.grid_of(label), plane)

    def truth(self, label: str, plane: PixelPlane) -> Sampled | None:
        """Return what the ground truth holds at each pixel; None where the class was not annotated here."""
        key = f"truth {label}"
        if key not in self._volumes:
            self._volumes[key] = self._open_truth(label)
        volume = self._volumes[key]
        if volume is None:
            return None
        return without(self._unknown[label], sample(self._cache, key, volume, self._crop.grid_of(label), plane))

    def _aligned(self, label: str) -> Volume:
        from cellmap_tui.scoring.alignment import aligned
        from cellmap_tui.scoring.profiles import scoring_of
        from cellmap_tui.scoring.sources import open_source
        from cellmap_tui.scoring.stored_planes import by_planes
        from cellmap_tui.scoring.stores import open_store

        store, key = self._places[label]
        grid = self._crop.grid_of(label)
        source = open_source(open_store(store), key, grid.voxel_size_nm)
        return by_planes(aligned(source, grid, scoring_of(label)))

    def _open_truth(self, label: str) -> Volume | None:
        from cellmap_tui.scoring.alignment import aligned
        from cellmap_tui.scoring.sources import open_source
        from cellmap_tui.scoring.stored_planes import by_planes
        from cellmap_tui.scoring.stores import open_store
        from cellmap_tui.volumes.annotation import read_annotation
        from cellmap_tui.volumes.ngff import open_volume

        path = self._data_root / label_path(self._crop, label)
        if not path.is_dir():
            return None
        self._unknown[label] = read_annotation(open_volume(path)).unknown_value
        grid = self._crop.grid_of(label)
        source = open_source(open_store(path.parent), path.name, grid.voxel_size_nm)
        return by_planes(aligned(source, grid, "instance"))


def _places(predictions: str, crop: Crop) -> dict[str, tuple[Path, str]]:
    """Return the folder or zip, and the place in it, of each class."""
    if predictions.lower().endswith(".zip") and Path(predictions).is_file():
        from cellmap_tui.scoring.submission import open_submission

        volumes = open_submission(Path(predictions)).volumes({crop.name})
        return {label: (Path(volume.ref.store), volume.ref.key) for (_, label), volume in sorted(volumes.items())}
    return {path.name if label is None else label: (path.parent, path.name) for label, path in
            class_folders(predictions, crop)}  # fmt: skip


def class_folders(predictions: str, crop: Crop) -> Iterator[tuple[str | None, Path]]:
    """Yield the folders of the classes of a crop; the label where the folder's name is not it."""
    fields = {"dataset": crop.dataset, "crop": crop.name}
    if "{label}" in predictions:
        for label in crop.classes:
            path = Path(_filled(predictions, {**fields, "label": label}))
            if path.is_dir():
                yield label, path
        return
    if "{" in predictions:
        folders = [Path(_filled(predictions, fields))]
    else:
        folders = [Path(predictions) / _filled(layout, fields) for layout in LAYOUTS]
        folders.append(Path(predictions))
    for folder in folders:
        found = sorted(_arrays_in(folder))
        if found:
            yield from ((None, path) for path in found)
            return


def _filled(template: str, fields: dict[str, str]) -> str:
    for name, value in fields.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _arrays_in(folder: Path) -> Iterator[Path]:
    """Yield the arrays and groups of arrays in a folder; folders of crops are none."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return
    for name in names:
        path = folder / name
        if (path / ".zarray").is_file() or _is_multiscale(path) or _has_arrays(path):
            yield path


def _is_multiscale(path: Path) -> bool:
    try:
        return b'"multiscales"' in (path / ".zattrs").read_bytes()[: 2**16]
    except OSError:
        return False


def _has_arrays(path: Path) -> bool:
    """Return whether a plain group holds arrays itself."""
    if not (path / ".zgroup").is_file():
        return False
    try:
        with os.scandir(path) as entries:
            return any(entry.is_dir() and Path(entry.path, ".zarray").is_file() for entry in entries)
    except OSError:
        return False
