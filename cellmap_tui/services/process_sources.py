"""Where the predictions of a crop lie and what their voxels mean: class by class, cores beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.services.predicted_folder import class_folders
from cellmap_tui.services.process_model import PREDICTIONS, PROCESSED
from cellmap_tui.text import cut_middle, printable, triple

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.blocks import Readable
    from cellmap_tui.volumes.ngff import Level
    from cellmap_tui.volumes.voxel_steps import VoxelStep

CORE_FOLDERS = ("{label}/core", "{label}_core", "{label}.core")
"""Where the core of a class lies below its crop, in the order they are looked for."""
FULL = {1: 255.0, 2: 65_535.0}
"""Stored value that stands for certainty in unsigned predictions, by bytes of a voxel."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One predicted class of one crop."""

    label: str
    """Name of the prediction."""
    path: Path
    """Its group or array."""
    level: Level
    """The level that is read: the finest."""
    unit: str
    """What its attributes say that the values are; empty: nothing."""

    @property
    def is_logit(self) -> bool:
        """Whether it says that it holds logits."""
        return "logit" in self.unit.lower()

    def opened(self) -> Readable:
        """Return its stored voxels."""
        from cellmap_tui.volumes.blocks import Stored

        return Stored(self.level)

    def to_probability(self, *, by_sigmoid: bool = False) -> list[VoxelStep]:
        """Return the steps that make probabilities of stored values.

        Parameters
        ----------
        by_sigmoid
            Whether the recipe says that they are logits; what the prediction says itself counts more.
        """
        from cellmap_tui.volumes.voxel_steps import Checked, Scaled, Sigmoid

        dtype = self.level.dtype
        if self.is_logit or (by_sigmoid and not self.unit and dtype.kind == "f"):
            return [Sigmoid()]
        if dtype.kind == "f":
            return [Scaled(1.0), Checked(str(self.path))]
        if dtype.kind == "b":
            return [Scaled(1.0)]
        if dtype.kind != "u" or dtype.itemsize not in FULL:
            raise DataError(f"{self.path} holds {dtype}, which is no prediction", "write uint8, float16 or float32")
        return [Scaled(1.0 / FULL[dtype.itemsize])]


def predictions_of(place: str, crop: Crop) -> dict[str, Path]:
    """Return the predicted classes of a crop, without cores and what is hidden."""
    found = {path.name if label is None else label: path for label, path in class_folders(place, crop)}
    names = set(found)
    return {
        name: path
        for name, path in found.items()
        if not name.startswith(".") and not any(name in (f"{one}_core", f"{one}.core") for one in names)
    }


def open_prediction(path: Path, label: str) -> Prediction:
    """Read what a prediction says about itself.

    Raises
    ------
    DataError
        If it is no volume.
    """
    from cellmap_tui.volumes.ngff import open_volume

    level = open_volume(path).finest
    return Prediction(label, path, level, _unit(path, level.path))


def find_named(place: str, crop: Crop, name: str) -> Path | None:
    """Return where a prediction of any name lies, None where there is none."""
    if "{label}" in place:
        path = Path(filled(place, crop, name))
        return path if path.is_dir() else None
    for _, path in class_folders(place, crop):
        named = path.parent / name
        return named if _is_volume(named) else None
    return None


def find_core(place: str, crop: Crop, label: str) -> Path | None:
    """Return where the core of a class lies, None where none is predicted."""
    found = (find_named(place, crop, form.format(label=label)) for form in CORE_FOLDERS)
    return next((path for path in found if path is not None), None)


def predictions_place(given: str | None, data_root: Path | None) -> str:
    """Return the folder or template of predictions.

    Raises
    ------
    RequestError
        If neither it nor a data root is known.
    """
    return _place(given, data_root, PREDICTIONS, "predictions")


def output_folder(given: str | None, data_root: Path | None, crop: Crop) -> Path:
    """Return the folder that the labels of a crop go to."""
    place = _place(given, data_root, PROCESSED, "labels")
    if "{" not in place:
        place = f"{place}/{{dataset}}.zarr/{{crop}}"
    return Path(filled(place, crop))


def filled(template: str, crop: Crop, label: str = "") -> str:
    """Return a template with the names of a crop.

    Raises
    ------
    RequestError
        If it has another field.
    """
    try:
        return template.format_map(
            {"dataset": crop.dataset, "crop": crop.name, **({"label": label} if label else {})}
        )
    except (KeyError, IndexError, ValueError) as error:
        shown = cut_middle(printable(template), 60)
        raise RequestError(
            f"template {shown}: {printable(str(error))} is no field", "fields are {dataset} and {crop}"
        ) from None


def check_same_grid(one: Grid, other: Grid, names: str) -> None:
    """Refuse two volumes of different voxels.

    Raises
    ------
    DataError
        If they differ in shape, voxel size or place.
    """
    near = all(
        abs(a - b) <= 1e-3 * size
        for pair in ((one.translation_nm, other.translation_nm), (one.voxel_size_nm, other.voxel_size_nm))
        for a, b, size in zip(*pair, one.voxel_size_nm, strict=True)
    )
    if one.shape != other.shape or not near:
        words = " and ".join(
            f"{triple(g.shape)} voxels of {triple(g.voxel_size_nm)} nm at {triple(g.translation_nm)}"
            for g in (one, other)
        )
        raise DataError(f"{names} are of different voxels: {words}", "predict them at the same voxel size")


def missing_core(place: str, crop: Crop, label: str) -> MissingDataError:
    """Return the error for a core that a recipe needs."""
    return MissingDataError(
        f"{crop.ref} has no prediction of {label}/core in {place}",
        "predict with a network that learned cores, or use components in the recipe",
    )


def _place(given: str | None, data_root: Path | None, template: str, what: str) -> str:
    if given is not None:
        return given
    if data_root is None:
        raise RequestError(f"where the {what} are is not said", "give a data root, or the folder itself")
    return str(data_root / template)


def _is_volume(path: Path) -> bool:
    return (path / ".zarray").is_file() or (path / ".zattrs").is_file()


def _unit(*folders: Path) -> str:
    """Return the unit that the attributes of a group or its array state, wherever in them it stands."""
    for folder in folders:
        try:
            attributes = json.loads((folder / ".zattrs").read_bytes())
        except (OSError, ValueError):
            continue
        found = _stated(attributes, depth=3)
        if found:
            return found
    return ""


def _stated(values: Any, depth: int) -> str:
    if not isinstance(values, dict) or depth == 0:
        return ""
    if isinstance(values.get("unit"), str):
        return str(values["unit"])
    inner = (_stated(value, depth - 1) for name, value in values.items() if name != "multiscales")
    return next((unit for unit in inner if unit), "")
