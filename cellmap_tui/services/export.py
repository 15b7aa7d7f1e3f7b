"""Labelled regions with their EM in the formats of other tools.

Plans first, then writes file by file, each whole or not at all; a file that an earlier export wrote from
the same is kept, so an export that was stopped or killed goes on where it was. Beside the files stands a
manifest with the place and meaning of every volume.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.services import export_nnunet
from cellmap_tui.services.export_model import (
    ExportedFile,
    ExportedVolume,
    ExportRequest,
    ExportResult,
)
from cellmap_tui.services.export_plan import Part, Prepared, Task, check_disk, plan_export, prepare
from cellmap_tui.services.export_record import write_manifest, write_text
from cellmap_tui.text import cut_middle
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from cellmap_tui.services.export_nnunet import Codes
    from cellmap_tui.services.export_regions import Region
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.export_labels import Combinations
    from cellmap_tui.volumes.export_volume import Container, ExportVolume
    from cellmap_tui.volumes.geometry import Box

__all__ = ["ExportRequest", "ExportResult", "export", "plan_export"]

MANIFEST_FORMAT = 1
MOST_TOLD = 5
"""Crops that cannot be exported are named up to here; the result has them all."""


def export(request: ExportRequest, report: Reporter) -> ExportResult:
    """Write regions in another format.

    Raises
    ------
    RequestError
        If crops or targets do not exist, options contradict each other, or targets that share a volume overlap.
    MissingDataError
        If nothing that is asked for is on disk.
    RefusedError
        If files of something else are in the way, or the disk is too small.
    DataError
        If an array is broken.
    Stopped
        When the user asked to stop; finished files stay and are not written again.
    """
    prepared = prepare(request, report)
    plan = prepared.plan()
    for note in plan.notes:
        report.note(note)
    for warning in (*plan.warnings, *plan.problems[:MOST_TOLD]):
        report.warning(warning)
    if len(plan.problems) > MOST_TOLD:
        report.warning(f"and {len(plan.problems) - MOST_TOLD} more crops that cannot be exported")
    if request.dry_run:
        return _result(prepared, None)
    check_disk(plan, ignore=request.ignore_disk)
    work = _Work(prepared, report)
    if request.format == "nnunet":
        _NnunetFolder(prepared, work).write()
    else:
        work.write_all()
    return _result(prepared, _write_manifest(prepared))


class _Work:
    """Writes what is waiting and tells how far it is."""

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self.prepared = prepared
        self.report = report
        self._done = 0
        self._total = prepared.voxels

    def more(self, voxels: int) -> None:
        """Take in voxels that are looked through besides."""
        self._total += voxels

    def tell(self, voxels: int) -> None:
        """Tell voxels that are done, and give the user a say."""
        self._done += voxels
        self.report.progress(self._done, self._total, "voxels")
        self.report.checkpoint()

    def write_all(self) -> None:
        """Write every file that is waiting."""
        for task in self.prepared.tasks:
            if task.kept is None:
                self._write(task)

    def _write(self, task: Task) -> None:
        request = self.prepared.request
        path = request.output / task.path
        rows = []
        with _container(request, path) as container:
            for part in task.parts:
                rows.append(self._write_part(container, part))
                _let_go(task, part)
            building = container.complete()
            written = ExportedFile(task.path, tuple(rows), "written")
            self.prepared.journal.add(building, task.record, written)
            container.finish()
        task.kept = dataclasses.replace(written, size_bytes=size_on_disk(path))
        self.report.artefact(path, "labels" if any(row.kind != "raw" for row in rows) else "em")

    def _write_part(self, container: Container, part: Part) -> ExportedVolume:
        if part.labels is not None:
            part.labels.prepare(self.report.checkpoint)
        volume = _described(part)
        counting = _Counting(part, self)
        container.write(volume, counting.read)
        row = dataclasses.replace(
            part.volume,
            dtype=volume.dtype.name,
            size_bytes=volume.size_bytes,
            unknown_value=volume.unknown_value,
            ids=dict(part.ids),
        )
        if part.raw is not None:
            return row
        return dataclasses.replace(row, foreground_voxels=counting.foreground, unknown_voxels=counting.unknown)


class _Counting:
    """Reads a part and counts what is in it."""

    def __init__(self, part: Part, work: _Work) -> None:
        self._part = part
        self._work = work
        self.foreground = 0
        self.unknown = 0

    def read(self, box: Box) -> Any:
        """Return the voxels of a box."""
        import numpy as np

        if self._part.raw is not None:
            block = self._part.raw.read(box)
        else:
            assert self._part.labels is not None
            block = self._part.labels.read_with_unknown(box)
            unknown = int(np.count_nonzero(block == self._part.labels.unknown_value))
            self.unknown += unknown
            self.foreground += int(np.count_nonzero(block)) - unknown
        self._work.tell(box.voxels)
        return block


class _NnunetFolder:
    """nnU-Net's folder: values that fit all crops, files, descriptions and the split."""

    def __init__(self, prepared: Prepared, work: _Work) -> None:
        self._prepared = prepared
        self._request = prepared.request
        self._work = work
        assert prepared.survey.targets is not None
        self._targets = prepared.survey.targets
        self._raw = export_nnunet.raw_folder(self._request.dataset_id, self._request.dataset_name)

    def write(self) -> None:
        """Write everything."""
        self._clear_others()
        training = [region for region in self._prepared.survey.regions if region.crop.split == "train"]
        combinations = {region.crop.ref: self._combinations(region) for region in training}
        codes = self._codes(training, combinations)
        from cellmap_tui.volumes.export_labels import CodeReader

        for task in self._prepared.tasks:
            for part in task.parts:
                if part.raw is None and task.kept is None:
                    part.labels = CodeReader(combinations[task.region.crop.ref], codes.values, codes.ignore_value)
                    part.ids = codes.ids
        self._work.write_all()
        self._describe(codes, training)

    def _clear_others(self) -> None:
        """Remove cases of earlier exports, which nnU-Net would take for part of this one."""
        ours = {task.path for task in self._prepared.tasks}
        root = self._request.output
        there = [file for name in ("imagesTr", "labelsTr") for file in _files(root / self._raw / name)]
        others = [
            file for file in there if str(file.relative_to(root)) not in ours and not file.name.endswith(".json")
        ]
        removable = [file for file in others if self._prepared.journal.finished(str(file.relative_to(root)))]
        if others and not (self._request.overwrite and len(removable) == len(others)):
            raise RefusedError(
                f"{root / self._raw} holds {len(others)} files that are not of this export, such as {others[0].name}",
                "choose another --dataset-id or --output; earlier exports are replaced with --overwrite",
            )
        for file in removable:
            file.unlink()

    def _combinations(self, region: Region) -> Combinations:
        from cellmap_tui.challenge.target_ids import IdMeaning
        from cellmap_tui.volumes.export_labels import MAX_TARGETS, Combinations

        names = self._targets.names
        if len(names) > MAX_TARGETS:
            raise RequestError(f"{len(names)} targets are more than the {MAX_TARGETS} of one dataset of nnU-Net")
        meaning = IdMeaning()
        classes = self._targets.classes
        parts = {name: meaning.parts(name) if meaning.knows(name) else frozenset() for name in classes}
        readers = tuple(region.readers.get(name) for name in names)
        excluded = export_nnunet.exclusion(self._targets, parts)
        return Combinations(readers, excluded, self._request.incomplete == "absent")

    def _codes(self, training: list[Region], combinations: dict[str, Combinations]) -> Codes:
        """Look through all crops for combinations of targets."""
        from collections import Counter

        from cellmap_tui.volumes.export_volume import slabs

        self._work.more(sum(region.grid.voxels for region in training))
        voxels: Counter[int] = Counter()
        unknown = 0
        for region in training:
            for box in slabs(region.grid.shape):
                counted, hidden = combinations[region.crop.ref].count(box)
                voxels.update(counted)
                unknown += hidden
                self._work.tell(box.voxels)
        return export_nnunet.make_codes(self._targets.names, voxels, unknown)

    def _describe(self, codes: Codes, training: list[Region]) -> None:
        request, root = self._request, self._request.output
        cases = {export_nnunet.case_name(region.crop): region.crop.ref for region in self._prepared.survey.regions}
        if request.file_ending == ".tif":
            self._write_spacings()
        write_text(root / self._raw / "cellmap_tui.json", export_nnunet.meaning_json(codes, self._targets, cases))
        content = export_nnunet.dataset_json(codes, len(training), request.file_ending, request.dataset_name)
        write_text(root / self._raw / "dataset.json", content)
        if request.datasplit is not None:
            self._write_split(training)
        self._tell(codes)

    def _write_spacings(self) -> None:
        """Write what nnU-Net's reader of TIFF takes the voxel size from."""
        import json

        for task in self._prepared.tasks:
            place = (self._request.output / task.path).parent
            spacing = json.dumps({"spacing": list(task.region.grid.voxel_size_nm)})
            write_text(place / f"{export_nnunet.case_name(task.region.crop)}.json", spacing)

    def _write_split(self, training: list[Region]) -> None:
        sides: dict[str, list[str]] = {"train": [], "validate": [], "": []}
        for region in training:
            sides[region.usage].append(export_nnunet.case_name(region.crop))
        if not sides["train"] or not sides["validate"]:
            raise DataError(
                f"{self._request.datasplit} leaves no crop to {'train on' if not sides['train'] else 'validate on'}",
                "take crops that are not wholly annotated with --incomplete ignore, or make another split",
            )
        if sides[""]:
            self._work.report.warning(f"{len(sides[''])} cases are in no side of the split and stay unused")
        folder = export_nnunet.preprocessed_folder(self._request.dataset_id, self._request.dataset_name)
        path = self._request.output / folder / "splits_final.json"
        write_text(path, export_nnunet.splits_json(sides["train"], sides["validate"]))
        self._work.report.artefact(path, "split")

    def _tell(self, codes: Codes) -> None:
        report = self._work.report
        if codes.has_regions:
            report.note(f"targets overlap: {len(codes.values)} values, as regions; see cellmap_tui.json")
        bare = [name for name in codes.names if not any(codes.voxels.get(b, 0) for b in _with(codes, name))]
        if bare:
            report.warning(f"no voxel of {cut_middle(', '.join(bare), 80)} in any crop: nnU-Net cannot learn that")


def _let_go(task: Task, part: Part) -> None:
    """Free what a part keeps in memory: chunks of EM, the objects of a slab."""
    if part.raw is not None:
        part.raw.forget()
    part.labels = None
    if part.volume.kind == "instance":
        task.region.readers.pop(part.volume.name)


def _with(codes: Codes, name: str) -> list[int]:
    bit = 1 << codes.names.index(name)
    return [bits for bits in codes.values if bits & bit]


def _described(part: Part) -> ExportVolume:
    """Return what a container is told of a part."""
    import numpy as np

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.export_volume import ExportVolume

    row = part.volume
    grid = Grid(row.voxel_size_nm, row.translation_nm, row.shape)
    if part.labels is None:
        return ExportVolume(row.name, grid, np.dtype(row.dtype), "em")
    is_instance = {"semantic": False, "instance": True}.get(row.kind)
    unknown = part.labels.unknown_value
    return ExportVolume(row.name, grid, np.dtype(part.labels.dtype), "label", is_instance, unknown, part.ids)


def _container(request: ExportRequest, path: Path) -> Container:
    """Return the writer of a file; only the module of its format is imported."""
    from importlib import import_module

    suffixes = {
        ".ome.zarr": ("export_zarr", "OmeZarrFolder"),
        ".zarr": ("export_zarr", "ZarrFolder"),
        ".ome.tif": ("export_tiff", "OmeTiffFile"),
        ".tif": ("export_tiff", "TiffFile"),
        ".nii.gz": ("export_nifti", "NiftiFile"),
        ".nii": ("export_nifti", "NiftiFile"),
        ".h5": ("export_hdf5", "Hdf5File"),
        ".npz": ("export_npz", "NpzFile"),
    }
    module, name = next(found for suffix, found in suffixes.items() if path.name.endswith(suffix))
    writer = getattr(import_module(f"cellmap_tui.volumes.{module}"), name)
    container: Container = writer(path, compress=request.compress, overwrite=request.overwrite)
    return container


def _write_manifest(prepared: Prepared) -> Path:
    request = prepared.request
    files = [task.file for task in prepared.tasks]
    # Of what earlier exports wrote here, the rows stay.
    files += prepared.journal.others(file.path for file in files)
    about = {
        "format": MANIFEST_FORMAT,
        "written_by": f"cellmap-tui {__version__}",
        "units": "nm",
        "axes": "zyx",
        "translation": "centre of voxel 0",
    }
    return write_manifest(request.output, files, about)


def _result(prepared: Prepared, manifest: Path | None) -> ExportResult:
    request, found = prepared.request, prepared.survey
    files = []
    for task in prepared.tasks:
        file = task.file
        if task.kept is not None and file.size_bytes is None:
            file = dataclasses.replace(file, size_bytes=size_on_disk(request.output / file.path))
        files.append(file)
    return ExportResult(
        output=request.output,
        format=request.format,
        manifest=manifest,
        files=tuple(files),
        targets=prepared.target_names,
        crops=len({task.region.crop.ref for task in prepared.tasks}),
        size_bytes=sum(file.size_bytes or 0 for file in files),
        dry_run=request.dry_run,
        notes=tuple(found.notes),
        warnings=tuple(found.warnings),
        problems=tuple(found.problems),
    )


def size_on_disk(path: Path) -> int:
    """Return the size of a file, or of all files below a folder, in bytes."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
