"""Where the labels of a mapping come from: crops of the data root, or a volume of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.layout import crop_path
from cellmap_tui.challenge.target_ids import IdMeaning
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import ExitStack

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.map_labels_model import MapLabelsRequest
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.label_volumes import LabelVolume, StackLabels
    from cellmap_tui.volumes.stacks import Stack
    from cellmap_tui.volumes.target_labels import Labels


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One volume of labels that is mapped."""

    ref: str
    """Name for people: the crop's, or the input's."""
    folder: Path
    """Folder of its targets."""
    grid: Grid
    """Its voxels."""
    annotated: Collection[str] | None
    """Classes that are annotated; None: a volume of one's own."""
    meaning: IdMeaning
    """What ids stand for."""
    open: Callable[[], Labels]
    """Opens what is on disk."""
    prints: dict[Path, str] = field(default_factory=dict)
    """Fingerprints that were taken."""

    def print_of(self, path: Path) -> str:
        """Return what tells the files at a path from others; taken once."""
        from cellmap_tui.services.evaluate_store import fingerprint

        if path not in self.prints:
            self.prints[path] = fingerprint(path)
        return self.prints[path]


def crop_places(request: MapLabelsRequest, report: Reporter) -> list[Place]:
    """Return the crops that are asked for.

    Raises
    ------
    RequestError
        If a word of ``--crops`` means nothing, or nothing is selected.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    catalog = open_catalog(source, report)
    for note in catalog.notes:
        report.note(note)
    meaning = IdMeaning(catalog.classes)
    return [_crop_place(request, crop, meaning) for crop in catalog.select(request.crops)]


def _crop_place(request: MapLabelsRequest, crop: Crop, meaning: IdMeaning) -> Place:
    def opened() -> Labels:
        # zarr and numpy, about 0.2 s
        from cellmap_tui.volumes.target_labels import open_labels

        folder = request.data_root / crop_path(crop)
        if not folder.is_dir():
            is_test = crop.split == "test"
            raise MissingDataError(
                f"the labels of {crop.ref} are not on disk: {folder}",
                "those of test crops are not published" if is_test else f"fetch-data --crops {crop.ref}",
            )
        return open_labels(folder, crop.grid, crop.classes, meaning=meaning, origin=request.origin)

    folder = Path(request.template.format(dataset=crop.dataset, crop=crop.name))
    return Place(crop.ref, folder, crop.grid, crop.classes, meaning, opened)


def input_place(request: MapLabelsRequest, closing: ExitStack) -> Place:
    """Return a volume of one's own, which stays open until `closing` is left.

    Raises
    ------
    RequestError
        If its voxel size is not known, or it is of a kind that is not read.
    MissingDataError
        If there is nothing at its path.
    DataError
        If it is damaged.
    """
    from cellmap_tui.challenge.grid import Grid

    assert request.input is not None
    stack = closing.enter_context(_open_stack(request.input, request.axes))
    size_nm = request.voxel_size_nm or stack.voxel_size_nm
    if size_nm is None:
        raise RequestError(
            f"{printable(request.input)} does not declare its voxel size", "give it in nm, z y x: --voxel-size 8 8 8"
        )
    grid = Grid(size_nm, request.translation_nm or stack.translation_nm or (0.0, 0.0, 0.0), stack.shape)
    meaning = IdMeaning(builtin_classes(), dict(request.labels))
    name = Path(request.input.partition(":")[0]).name
    volume = _own_volume(stack, grid, name, request)
    annotated = (_class_name(request.input_class, meaning.table),) if request.input_class else None
    return Place(name, Path(request.output), grid, annotated, meaning, lambda: _own_labels(volume, request, meaning))


def own_names(request: MapLabelsRequest, places: list[Place]) -> tuple[str, ...]:
    """Return names of classes that the class table does not know: of imported crops, or given with the input."""
    table = places[0].meaning.table
    annotated = [name for place in places for name in place.annotated or () if name not in table]
    return tuple(dict.fromkeys([*request.labels, *annotated]))


def _own_labels(volume: LabelVolume, request: MapLabelsRequest, meaning: IdMeaning) -> Labels:
    from cellmap_tui.volumes.target_labels import Labels

    if request.input_class is None:
        return Labels(volume.grid, None, meaning, {}, volume)
    name = _class_name(request.input_class, meaning.table)
    return Labels(volume.grid, (name,), meaning, {name: volume}, None)


def _class_name(name: str, table: ClassTable) -> str:
    info = table.named(name)
    return info.name if info is not None else name


def _own_volume(stack: Stack, grid: Grid, name: str, request: MapLabelsRequest) -> StackLabels:
    from cellmap_tui.volumes.label_volumes import StackLabels, planes, slabs_of

    unknown = request.unknown_value if request.unknown_value is not None else _declared_unknown(request.input)
    volume = StackLabels(stack, grid, name, unknown)
    if request.input_class is None:
        return volume
    for start, stop in slabs_of(grid):
        values, _ = volume.read(grid, planes(grid, start, stop))
        above = values > 1
        if unknown is not None:
            above &= values != unknown
        if above.any():
            volume.has_ids = True
            break
    return volume


def _declared_unknown(path: str | None) -> int | None:
    """Return the unknown value that a zarr group of labels declares."""
    from cellmap_tui.errors import CellmapError
    from cellmap_tui.volumes.annotation import read_annotation
    from cellmap_tui.volumes.ngff import is_volume, open_volume

    folder = Path(str(path))
    try:
        return read_annotation(open_volume(folder)).unknown_value if folder.is_dir() and is_volume(folder) else None
    except CellmapError:
        return None  # a zarr of another kind declares nothing; whether it can be read is the reader's business


def _open_stack(spec: str, axes: str | None) -> Stack:
    from cellmap_tui.services.evaluate_stacks import NIFTI
    from cellmap_tui.volumes.stacks import open_stack

    if spec.lower().endswith(NIFTI):
        from cellmap_tui.volumes.stack_nifti import open_nifti

        path = Path(spec).expanduser()
        if not path.is_file():
            raise MissingDataError(f"{printable(spec)} does not exist", "check the path")
        return open_nifti(path)
    return open_stack(spec, axes)
