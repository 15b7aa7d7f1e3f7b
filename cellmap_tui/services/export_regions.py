"""Which crops are exported, what of them is on disk, and the voxels that go out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.layout import crop_em_path, crop_path
from cellmap_tui.challenge.targets import read_targets, targets_of
from cellmap_tui.errors import CellmapError, MissingDataError, RequestError, UnknownNameError
from cellmap_tui.services.export_model import LOCAL_CROPS, ExportRequest

if TYPE_CHECKING:
    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Kind, Target, Targets
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.export_raw import RawSource
    from cellmap_tui.volumes.target_labels import TargetReader

_RESERVED = ("raw", "labels")


@dataclass(slots=True, eq=False)
class Region:
    """One crop with its margin, opened but not read."""

    crop: Crop
    """The crop."""
    usage: str
    """``train`` or ``validate`` as the datasplit says; else empty."""
    grid: Grid
    """Voxels of the labels, margin included."""
    raw: RawSource | None
    """The EM; None where none is wanted."""
    targets: Targets
    """Targets of this crop."""
    readers: dict[str, TargetReader]
    """Target to what reads it; without those that are not known here."""
    record: dict[str, Any] | None = None
    """What its labels are made of; found when it is first asked for."""


@dataclass(slots=True)
class Survey:
    """What the chosen crops gave."""

    regions: list[Region]
    """Crops that can be exported."""
    targets: Targets | None
    """Targets of all crops; None where each crop has its own."""
    notes: list[str]
    """What a person should know."""
    warnings: list[str]
    """What may need attention."""
    problems: list[str]
    """Crops that cannot be exported, and why."""


def survey(request: ExportRequest, report: Reporter) -> Survey:
    """Open everything that is exported.

    Raises
    ------
    CellmapError
        If crops or targets do not exist, or nothing can be exported.
    """
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    source = CatalogSource(
        request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
    )
    catalog = open_catalog(source, report)
    others = catalog.vocabulary.other_classes
    found = Survey([], _targets(request, others), list(catalog.notes), [], [])
    usages = _usages(request, catalog, found)
    crops = _crops(request, catalog, usages)
    for number, crop in enumerate(crops):
        report.checkpoint()
        report.progress(number, len(crops), "crops")
        try:
            region = _Opening(request, crop, usages.get(crop.ref, ""), found, frozenset(others)).region()
        except CellmapError as error:
            found.problems.append(f"{crop.ref}: {error}")
            continue
        if region is not None:
            found.regions.append(region)
    report.progress(len(crops), len(crops), "crops")
    _tell_unannotated(found)
    if not found.regions:
        reasons = [*found.problems, *found.notes, *found.warnings]
        raise MissingDataError(
            f"nothing to export: {reasons[0]}" if reasons else "nothing to export",
            "fetch the crops first, or name others with --crops",
        )
    return found


def _tell_unannotated(found: Survey) -> None:
    """Note in how many crops a target that was asked for is not annotated."""
    training = [region for region in found.regions if region.crop.split == "train"]
    for name in found.targets.names if found.targets is not None else ():
        lacking = [region.crop.ref for region in training if name not in region.readers]
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            found.notes.append(f"{name} is not annotated in {', '.join(lacking[:3])}{more}")


def _targets(request: ExportRequest, others: Any) -> Targets | None:
    if request.targets is not None:
        targets = read_targets(request.targets, labels=others)
    elif request.classes:
        targets = targets_of(request.classes, labels=others)
    else:
        return None
    for name in targets.names:
        if name in _RESERVED:
            raise RequestError(f"a target that is exported cannot be called {name!r}", "rename it")
    return targets


def _usages(request: ExportRequest, catalog: Catalog, found: Survey) -> dict[str, str]:
    """Return crop to its usage in the datasplit."""
    if request.datasplit is None:
        return {}
    from cellmap_tui.challenge.datasplit import read_split

    split = read_split(request.datasplit)
    if split.on_both_sides:
        raise RequestError(
            f"{request.datasplit}: {split.on_both_sides[0]} is learned from and checked on", "keep it on one side"
        )
    usages: dict[str, str] = {}
    for row in split.rows:
        try:
            usages[catalog.find(row.ref).ref] = row.usage
        except UnknownNameError as error:
            found.problems.append(f"{row.ref}: {error}")
    return usages


def _crops(request: ExportRequest, catalog: Catalog, usages: dict[str, str]) -> tuple[Crop, ...]:
    if request.crops:
        return catalog.select(request.crops)
    if request.datasplit is not None:
        return tuple(catalog.find(ref) for ref in usages)
    try:
        return catalog.select(LOCAL_CROPS)
    except RequestError:
        raise MissingDataError(
            f"no crop is on disk below {request.data_root}", "fetch some, or choose another --data-root"
        ) from None


class _Opening:
    """One crop while it is opened."""

    def __init__(self, request: ExportRequest, crop: Crop, usage: str, found: Survey, others: frozenset[str]) -> None:
        self.request = request
        self.crop = crop
        self.usage = usage
        self.found = found
        self.targets = found.targets or targets_of(crop.classes, labels=others)

    def region(self) -> Region | None:
        """Return the crop opened; None with a note where there is nothing to say of it."""
        from cellmap_tui.volumes.export_raw import RawSource, native_grid
        from cellmap_tui.volumes.ngff import open_volume

        em = None if self.request.raw == "none" else open_volume(self._em_path())
        grid = self._grid(em.finest.grid if em is not None else None)
        readers = self._readers(grid)
        if not readers and (self.crop.split == "train" or em is None):
            self.found.notes.append(f"{self.crop.ref} is left out: none of the targets is annotated there")
            return None
        raw = None
        if em is not None:
            raw = RawSource(em, native_grid(em, grid) if self.request.raw == "native" else grid)
            self._tell_gaps(raw)
        return Region(self.crop, self.usage, grid, raw, self.targets, readers)

    def _em_path(self) -> Any:
        path = self.request.data_root / crop_em_path(self.crop)
        if not path.exists():
            raise MissingDataError(f"its EM is not on disk: {path}", "fetch the crop, or export with --raw none")
        return path

    def _grid(self, em: Grid | None) -> Grid:
        from cellmap_tui.volumes.export_raw import at_voxel_size, with_margin

        grid = self.crop.grid if self.request.scale is None else at_voxel_size(self.crop.grid, self.request.scale)
        margin = self.request.margin
        if self.request.margin_nm is not None:
            steps = zip(self.request.margin_nm, grid.voxel_size_nm, strict=True)
            z, y, x = (math.ceil(margin / size - 1e-6) for margin, size in steps)
            margin = (z, y, x)
        return with_margin(grid, margin, em)

    def _readers(self, grid: Grid) -> dict[str, TargetReader]:
        from cellmap_tui.volumes.target_labels import open_labels

        folder = self.request.data_root / crop_path(self.crop)
        labels = open_labels(folder, self.crop.grid, self.crop.classes, origin=self.request.source)
        readers = {}
        missing = []
        for target in self.targets.targets:
            try:
                reader = self._reader(labels, target, grid)
            except MissingDataError as error:
                # Test crops are published without labels; and nobody asked for this one by name
                if self.crop.split == "train" and self.found.targets is not None:
                    raise
                missing.append(error)
                continue
            if reader is not None:
                readers[target.name] = reader
        if missing and self.crop.split == "train":
            self._tell_missing(missing, has_some=bool(readers))
        return readers

    def _reader(self, labels: Any, target: Target, grid: Grid) -> TargetReader | None:
        from cellmap_tui.volumes.target_labels import open_target

        is_mask = self.request.combined or self.request.format == "nnunet"
        kind: Kind | None = "semantic" if is_mask else None
        return open_target(labels, target, self.targets.ignored, kind=kind, grid=grid)

    def _tell_missing(self, missing: list[MissingDataError], *, has_some: bool) -> None:
        if not has_some:
            raise missing[0]
        self.found.warnings.append(f"{self.crop.ref}: {len(missing)} of its classes are not on disk and left out")

    def _tell_gaps(self, raw: RawSource) -> None:
        there = raw.presence
        if there.chunks and not there.present:
            raise MissingDataError(
                f"no EM is on disk there ({raw.choice.level.path})", "fetch the crop, or export with --raw none"
            )
        if not there.is_whole:
            gaps = f"{there.chunks - there.present} of {there.chunks} EM chunks"
            self.found.warnings.append(f"{self.crop.ref}: {gaps} are not on disk: black in the data, or not fetched")
        if raw.choice.must_upsample:
            self.found.notes.append(f"{self.crop.ref}: {raw.choice.reason}")
