"""Which predictions belong to which local ground truth: a row per crop and class.

The truth is the finest level of the label group in the data root, of a datasplit's own path, or of a
store of plain arrays; it is scored at that voxel size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.evaluate_model import EvaluateRequest

LAYOUTS = ("{dataset}.zarr/{crop}", "{dataset}/{dataset}.zarr/{crop}", "{dataset}/{crop}", "{crop}", "{crop}.zarr")
"""Where a crop's classes lie below a folder of predictions, in the order they are looked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """One class of one crop, and where its truth is."""

    crop: Crop
    """The crop."""
    name: str
    """What results call the crop: ``crop234``, or with its dataset where the number alone is not clear."""
    label: str
    """The class."""
    truth: Path
    """Label group or array."""


def local_targets(request: EvaluateRequest, catalog: Catalog) -> list[Target]:
    """Return the crops that were named with every class whose truth is on disk.

    Raises
    ------
    RequestError
        If a crop or class does not exist.
    MissingDataError
        If a crop has no truth on disk.
    """
    found = list(_of_datasplit(request, catalog) if request.datasplit else _of_crops(request, catalog))
    names = _names([crop for crop, _ in found])
    wanted = [catalog.class_name(name) for name in request.classes]
    targets = []
    for crop, folders in found:
        labels = wanted or list(folders)
        targets += [Target(crop, names[crop.ref], label, folders[label]) for label in labels if label in folders]
    if not targets:
        shown = ", ".join(wanted[:5])
        raise MissingDataError(f"no crop has ground truth of {shown}", "name other classes or crops")
    return targets


def find_prediction(predictions: str, target: Target, *, is_only: bool) -> Path | None:
    """Return where the prediction of a class in a crop lies, None where there is none.

    Parameters
    ----------
    predictions
        A folder, or a template with ``{dataset}``, ``{crop}`` and ``{label}``.
    is_only
        Whether this is the only crop, so that the folder may be the crop's own.
    """
    fields = {"dataset": target.crop.dataset, "crop": target.crop.name, "label": target.label}
    if "{" in predictions:
        path = Path(_filled(predictions, fields))
        return _existing(path if "{label}" in predictions else path / target.label)
    folder = Path(predictions)
    found = (_existing(folder / _filled(layout, fields) / target.label) for layout in LAYOUTS)
    path_of_crop = next((path for path in found if path is not None), None)
    if path_of_crop is None and is_only:
        return _existing(folder / target.label)
    return path_of_crop


def _existing(path: Path) -> Path | None:
    return path if path.is_dir() else None


def _filled(template: str, fields: Mapping[str, str]) -> str:
    try:
        return template.format_map(fields)
    except (KeyError, IndexError, ValueError) as error:
        shown = cut_middle(printable(template), 60)
        raise RequestError(
            f"template {shown}: {printable(str(error))} is no field", "fields are {dataset}, {crop} and {label}"
        ) from None


def _of_crops(request: EvaluateRequest, catalog: Catalog) -> Iterator[tuple[Crop, dict[str, Path]]]:
    from cellmap_tui.challenge.layout import crop_path

    for crop in catalog.select(request.crops or ""):
        if request.truth is not None:
            folder = request.truth / crop.name
        elif request.data_root is not None:
            folder = request.data_root / crop_path(crop)
        else:
            raise RequestError("where the ground truth is, is not said", "give --data-root or --truth-path")
        yield crop, _label_folders(crop, folder)


def _of_datasplit(request: EvaluateRequest, catalog: Catalog) -> Iterator[tuple[Crop, dict[str, Path]]]:
    from cellmap_tui.services.datasplit_rows import read_datasplit

    assert request.datasplit is not None  # the caller looked
    known = {(crop.dataset, crop.id): crop for crop in catalog.crops}
    for row in read_datasplit(request.datasplit, request.split):
        crop = known.get((row.dataset, row.crop))
        if crop is None:
            raise RequestError(
                f"{request.datasplit} names {printable(row.dataset)}/crop{row.crop}, which the catalog does not know",
                "give its annotations with --train-manifest",
            )
        folder = row.truth if row.truth.is_absolute() else request.datasplit.parent / row.truth
        labels = _label_folders(crop, folder)
        yield crop, {name: path for name, path in labels.items() if not row.classes or name in row.classes}


def _label_folders(crop: Crop, folder: Path) -> dict[str, Path]:
    """Return the label groups of a crop that are on disk, without the array of all ids."""
    found = {name: folder / name for name in crop.classes if (folder / name).is_dir()}
    if not found:
        raise MissingDataError(
            f"crop {crop.ref} has no ground truth in {folder}", f"cellmap-tui fetch-data --crops {crop.id}"
        )
    return found


def _names(crops: Sequence[Crop]) -> dict[str, str]:
    """Return what results call each crop, by its full name."""
    names: dict[str, str] = {}
    for crop in crops:
        is_shared = any(other.id == crop.id and other.dataset != crop.dataset for other in crops)
        names[crop.ref] = f"{crop.dataset}_{crop.name}" if is_shared else crop.name
    return names
