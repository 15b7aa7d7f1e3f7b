"""Writing nnU-Net's folder: values that fit all crops, files, descriptions and the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.services import export_nnunet
from cellmap_tui.services.export_record import write_text
from cellmap_tui.text import cut_middle

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from cellmap_tui.services.export_nnunet import Codes
    from cellmap_tui.services.export_plan import Prepared
    from cellmap_tui.services.export_regions import Region
    from cellmap_tui.services.export_work import Work
    from cellmap_tui.volumes.export_labels import Combinations


class NnunetFolder:
    """nnU-Net's folder: values that fit all crops, files, descriptions and the split."""

    def __init__(self, prepared: Prepared, work: Work) -> None:
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


def _with(codes: Codes, name: str) -> list[int]:
    bit = 1 << codes.names.index(name)
    return [bits for bits in codes.values if bits & bit]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
