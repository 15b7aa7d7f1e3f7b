"""What is predicted: crops of the catalog, or a box of an EM volume; where its EM lies and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import checked_name, crop_em_path, em_path
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.predict_model import PredictRequest
    from cellmap_tui.services.predict_remote import RemoteEm
    from cellmap_tui.services.report import Reporter


@dataclass(frozen=True, slots=True)
class Place:
    """One volume that is predicted."""

    ref: str
    """Name for people."""
    folder: Path
    """Folder of its classes."""
    em: Path
    """The EM's group."""
    grid: Grid
    """The crop's own grid: its bounds, and the voxel size that is asked of it."""
    classes: tuple[str, ...] | None
    """Classes that are asked for; None: no list."""
    is_crop: bool
    """Whether it is a crop that a fetch can bring."""
    em_name: str = ""
    """What tells its EM from others, wherever it is read from."""


def find_places(request: PredictRequest, report: Reporter, remote: RemoteEm | None) -> list[Place]:
    """Return what is predicted.

    Raises
    ------
    RequestError
        If a word of ``--crops`` means nothing, nothing is selected, or two crops would go to one folder.
    MissingDataError
        If an EM volume is named that is not there.
    """
    if request.em:
        return [_box_place(request, remote)]
    catalog = _catalog(request, report)
    for note in catalog.notes:
        report.note(note)
    places = [_crop_place(request, crop, remote) for crop in catalog.select(request.crops)]
    folders: dict[Path, str] = {}
    for place in places:
        if place.folder in folders:
            raise RequestError(
                f"{folders[place.folder]} and {place.ref} would both be written to {printable(str(place.folder))}",
                "use {dataset} and {crop} in the output",
            )
        folders[place.folder] = place.ref
    return places


def _catalog(request: PredictRequest, report: Reporter) -> Catalog:
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    return open_catalog(
        CatalogSource(
            request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
        ),
        report,
    )


def _crop_place(request: PredictRequest, crop: Crop, remote: RemoteEm | None) -> Place:
    folder = Path(request.template.format(dataset=crop.dataset, crop=crop.name))
    if request.search_path:
        name = request.raw_name or f"em/{crop.em_name}"
        filled = request.search_path.replace("{dataset}", crop.dataset).replace("{name}", name)
        em = Path(filled if "{name}" in request.search_path else f"{filled}/{name}").absolute()
    elif remote is not None:
        em = remote.folder(str(crop_em_path(crop)))
    else:
        em = _data_root(request) / crop_em_path(crop)
    name = str(em) if request.search_path else str(crop_em_path(crop))
    return Place(crop.ref, folder, em, crop.grid, crop.classes, is_crop=True, em_name=name)


def _box_place(request: PredictRequest, remote: RemoteEm | None) -> Place:
    # zarr and numpy, about 0.2 s
    from cellmap_tui.volumes.ngff import open_volume

    is_path = "/" in request.em
    dataset = Path(request.em).parent.name.removesuffix(".zarr") or "em" if is_path else request.em
    for part in Path(request.em).parts if is_path else ():
        dataset = part.removesuffix(".zarr") if part.endswith(".zarr") else dataset
    if is_path:
        em = Path(request.em)
    elif remote is not None:
        em = remote.folder(str(em_path(checked_name(request.em, "dataset"))))
    else:
        em = _data_root(request) / em_path(checked_name(request.em, "dataset"))
    if remote is not None and not is_path:
        remote.bring_metadata(em)
    if not em.exists():
        raise MissingDataError(f"no EM at {em}", "check --em: a path, or the name of a dataset that is on disk")
    finest = open_volume(em).finest.grid
    grid = finest if request.box_nm is None else _boxed(finest, *request.box_nm)
    name = checked_name(request.name, "name")
    folder = Path(request.template.format(dataset=checked_name(dataset, "dataset"), crop=name))
    return Place(f"{dataset}/{name}", folder, em, grid, None, is_crop=False, em_name=request.em)


def _boxed(em: Grid, low: Vec3, high: Vec3) -> Grid:
    """Return the grid of a box: the EM's voxel size, the box's own lower corner."""
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.learning.ensemble import covering_grid

    if any(a >= d or b <= c for a, b, c, d in zip(low, high, em.lower_nm, em.upper_nm, strict=True)):
        raise RequestError(
            f"the box from {low} to {high} nm is outside the EM, which reaches from {em.lower_nm} to {em.upper_nm}",
            "give a box in nm, z, y, x",
        )
    extent = [b - a for a, b in zip(low, high, strict=True)]
    first = [a + e / 2 for a, e in zip(low, extent, strict=True)]
    whole = Grid((extent[0], extent[1], extent[2]), (first[0], first[1], first[2]), (1, 1, 1))
    return covering_grid(whole, em.voxel_size_nm)


def _data_root(request: PredictRequest) -> Path:
    if request.data_root is None:
        raise RequestError("where the data lie is not said", "give --data-root")
    return request.data_root
