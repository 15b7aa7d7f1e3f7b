"""nnU-Net's raw layout: folders and names, values of combinations of targets, ``dataset.json`` and the split.

Targets that overlap become regions: each combination of targets has a value, and a region is the list of
values in which its target is. The rules are those of nnU-Net 2 (``dataset_format.md``,
``region_based_training.md``, ``ignore_label.md``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePosixPath

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.targets import Targets

BACKGROUND = "background"
IGNORE = "ignore"
MOST_CODES = 254
"""nnU-Net predicts uint8; one more value is kept for the ignore label."""


@dataclass(frozen=True, slots=True)
class Codes:
    """The values of nnU-Net's label files."""

    names: tuple[str, ...]
    """Targets; bit i of a combination is target i."""
    values: dict[int, int]
    """Bits of a combination to its value, from 1 without a gap."""
    voxels: dict[int, int]
    """Bits of a combination to its voxels."""
    unknown_voxels: int
    """Voxels that have the ignore label."""

    @property
    def has_regions(self) -> bool:
        """Whether targets overlap."""
        return any(bits & (bits - 1) for bits in self.values)

    @property
    def ignore_value(self) -> int:
        """The value of the ignore label: the highest."""
        return len(self.values) + 1

    @property
    def order(self) -> tuple[str, ...]:
        """Targets in the order of ``dataset.json``: overlapping ones the largest first, as later ones win."""
        if not self.has_regions:
            return self.names
        return tuple(sorted(self.names, key=lambda name: -self._size(name)))

    @property
    def ids(self) -> tuple[tuple[str, int], ...]:
        """Targets and their one value; none where they overlap."""
        return () if self.has_regions else tuple((name, self.values_of(name)[0]) for name in self.names)

    def values_of(self, name: str) -> list[int]:
        """Return the values in which a target is."""
        bit = 1 << self.names.index(name)
        return sorted(value for bits, value in self.values.items() if bits & bit)

    def labels(self) -> dict[str, int | list[int]]:
        """Return ``labels`` of ``dataset.json``; one value is a number, as nnU-Net takes a list of one for none."""
        found: dict[str, int | list[int]] = {BACKGROUND: 0}
        for name in self.order:
            values = self.values_of(name)
            found[name] = values if len(values) > 1 else values[0]
        if self.unknown_voxels:
            found[IGNORE] = self.ignore_value
        return found

    def class_order(self) -> list[int]:
        """Return ``regions_class_order``: for each region the value that its voxels most often have."""
        found = []
        for name in self.order:
            bit = 1 << self.names.index(name)
            inside = [bits for bits in self.values if bits & bit]
            most = max(inside, key=lambda bits: (self.voxels.get(bits, 0), bits == bit))
            found.append(self.values[most])
        return found

    def meaning(self) -> dict[str, list[str]]:
        """Return each value with the targets that are in it."""
        named = {value: bits for bits, value in self.values.items()}
        return {
            str(value): [name for i, name in enumerate(self.names) if named[value] >> i & 1]
            for value in sorted(named)
        }

    def _size(self, name: str) -> int:
        bit = 1 << self.names.index(name)
        return sum(count for bits, count in self.voxels.items() if bits & bit)


def make_codes(names: Sequence[str], voxels: Mapping[int, int], unknown_voxels: int) -> Codes:
    """Give a value to each target alone, in order, and to each combination that occurs, the most frequent first.

    Raises
    ------
    RequestError
        If there are more combinations than nnU-Net has values, or a name has a meaning of its own there.
    """
    for name in names:
        if name in (BACKGROUND, IGNORE):
            raise RequestError(f"a target of nnU-Net cannot be called {name!r}", "rename it in the file of targets")
    single = [1 << i for i in range(len(names))]
    several = [bits for bits in voxels if bits & (bits - 1)]
    several.sort(key=lambda bits: (-voxels[bits], bits))
    if len(single) + len(several) > MOST_CODES:
        raise RequestError(
            f"the targets overlap in {len(several)} ways, and nnU-Net has {MOST_CODES} values",
            "export fewer targets, or sets of targets as datasets of their own",
        )
    values = {bits: value for value, bits in enumerate([*single, *several], 1)}
    counted = {bits: count for bits, count in voxels.items() if bits}
    return Codes(tuple(names), values, counted, unknown_voxels)


def dataset_folder(number: int, name: str) -> str:
    """Return the name of nnU-Net's folder of a dataset."""
    return f"Dataset{number:03d}_{name}"


def raw_folder(number: int, name: str) -> PurePosixPath:
    """Return where images and labels go, below the output folder."""
    from pathlib import PurePosixPath

    return PurePosixPath("nnUNet_raw", dataset_folder(number, name))


def preprocessed_folder(number: int, name: str) -> PurePosixPath:
    """Return where the split goes, below the output folder."""
    from pathlib import PurePosixPath

    return PurePosixPath("nnUNet_preprocessed", dataset_folder(number, name))


def case_name(crop: Crop) -> str:
    """Return nnU-Net's name of a crop; `evaluate` and `pack-results` know the crop from it again."""
    return f"{crop.dataset}_{crop.name}"


def dataset_json(codes: Codes, training: int, file_ending: str, name: str) -> str:
    """Return the text of ``dataset.json``.

    Parameters
    ----------
    codes
        Values of the label files.
    training
        Number of training cases.
    file_ending
        Suffix of the files.
    name
        Name of the dataset.
    """
    content: dict[str, Any] = {"channel_names": {"0": "EM"}, "labels": codes.labels()}
    if codes.has_regions:
        content["regions_class_order"] = codes.class_order()
    content |= {"numTraining": training, "file_ending": file_ending, "name": name}
    # Without it nnU-Net tries readers in turn, and the one it finds depends on what is installed.
    content["overwrite_image_reader_writer"] = "Tiff3DIO" if file_ending == ".tif" else "SimpleITKIO"
    content["description"] = f"exported by cellmap-tui {__version__}; lengths are nanometres"
    return json.dumps(content, indent=1) + "\n"


def meaning_json(codes: Codes, targets: Targets, cases: Mapping[str, str]) -> str:
    """Return the text of ``cellmap_tui.json``: what values and cases mean, to read predictions by."""
    content = {
        "values": codes.meaning(),
        "voxels": {str(codes.values[bits]): count for bits, count in codes.voxels.items()},
        "unknown_voxels": codes.unknown_voxels,
        "targets": {target.name: list(target.classes) for target in targets.targets},
        "cases": dict(cases),
    }
    return json.dumps(content, indent=1) + "\n"


def splits_json(train: Sequence[str], validate: Sequence[str]) -> str:
    """Return the text of ``splits_final.json``: one fold, fold 0."""
    return json.dumps([{"train": list(train), "val": list(validate)}], indent=1) + "\n"


def exclusion(targets: Targets, parts: Mapping[str, frozenset[int]]) -> list[list[bool]]:
    """Return for each two targets whether no class can be part of both, so that they never share a voxel.

    Parameters
    ----------
    targets
        The targets.
    parts
        Class to the ids of its finest parts; empty for classes of one's own, which exclude nothing.
    """
    ids = [[parts[name] for name in target.classes] for target in targets.targets]
    known = [all(sets) for sets in ids]
    unions = [frozenset().union(*sets) for sets in ids]
    return [
        [i != j and known[i] and known[j] and not unions[i] & unions[j] for j in range(len(unions))]
        for i in range(len(unions))
    ]
