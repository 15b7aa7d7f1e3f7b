"""Example slices of validation crops: grey values, truth and probabilities, small files that a viewer draws.

The same slices at every epoch, so that one can watch a class appear. Owns which slices, and their files;
no picture is made here, and reading one needs no torch.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.learning.codebook import decode
from cellmap_tui.volumes.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.learning.bank import Bank, BankCrop
    from cellmap_tui.learning.em_reader import CropReader

FOLDER = "samples"
"""Name of their folder in a run directory."""
COUNT = 6
"""Slices that are kept of an epoch."""
MAX_EDGE = 512
"""Longest edge of a slice in voxels; of a larger plane the part around the labels is kept."""
EPOCHS = 20
"""About so many epochs of a training leave slices."""
AXES = "zyx"
_REMEDY = "leave it out; a later epoch writes new ones"


@dataclass(frozen=True, slots=True)
class SliceChoice:
    """A slice to keep."""

    ref: str
    """``dataset/crop234``."""
    axis: int
    """The axis that it is cut across."""
    box: Box
    """Its voxels on the network's grid over the crop; one along `axis`."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A slice as it was kept."""

    ref: str
    """``dataset/crop234``."""
    axis: str
    """The axis that it is cut across, of z, y, x."""
    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Batches learned from so far."""
    names: tuple[str, ...]
    """Columns of the network."""
    raw: NDArray[np.uint8]
    """Grey values ``[h, w]``."""
    truth: NDArray[np.uint8]
    """0 absent, 1 present, 255 unknown, ``[columns, h, w]``."""
    probability: NDArray[np.uint8]
    """Probability times 255, ``[columns, h, w]``."""
    voxel_size_nm: Vec3
    """Voxel size along z, y, x."""
    position: Shape3
    """The slice's first voxel on the network's grid over the crop, z, y, x."""


class SampleWriter:
    """Keeps slices of the blocks that a validation shows it.

    Parameters
    ----------
    folder
        The run directory.
    bank
        Where the crops are from.
    choices
        Which slices.
    epoch, step
        What they are filed under.
    """

    def __init__(self, folder: Path, bank: Bank, choices: Sequence[SliceChoice], epoch: int, step: int) -> None:
        self._folder = sample_folder(folder, epoch)
        self._bank, self._choices = bank, choices
        self._epoch, self._step = epoch, step
        self._kept: dict[SliceChoice, NDArray[np.uint8]] = {}
        self.paths: list[Path] = []

    def block(self, reader: CropReader, box: Box, probabilities: Any) -> None:
        """Take what is wanted of a block ``[columns, z, y, x]``."""
        for choice in self._of(reader):
            inside = choice.box.intersected(box)
            if inside.is_empty:
                continue
            found = probabilities[(slice(None), *_from(inside, box).slices)]
            values = (found * 255).round().clamp(0, 255).cpu().numpy().astype(np.uint8)
            if choice not in self._kept:
                self._kept[choice] = np.zeros((len(self._bank.columns), *choice.box.shape), np.uint8)
            self._kept[choice][(slice(None), *_from(inside, choice.box).slices)] = values

    def crop_ended(self, reader: CropReader) -> None:
        """Write the slices of a crop."""
        for choice in self._of(reader):
            if choice in self._kept:
                self._write(reader, choice, self._kept.pop(choice))

    def _of(self, reader: CropReader) -> list[SliceChoice]:
        return [choice for choice in self._choices if choice.ref == reader.crop.ref]

    def _write(self, reader: CropReader, choice: SliceChoice, probability: NDArray[np.uint8]) -> None:
        states = decode(reader.codes(choice.box), self._bank.book, reader.crop.first_code)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{choice.ref.replace('/', '_')}_{AXES[choice.axis]}.npz"
        write_sample(
            path,
            Sample(
                ref=choice.ref,
                axis=AXES[choice.axis],
                epoch=self._epoch,
                step=self._step,
                names=self._bank.columns,
                raw=reader.em(choice.box)[0].squeeze(choice.axis),
                truth=states.squeeze(choice.axis + 1),
                probability=probability.squeeze(choice.axis + 1),
                voxel_size_nm=reader.grid.voxel_size_nm,
                position=choice.box.start,
            ),
        )
        self.paths.append(path)


def sample_folder(run: Path, epoch: int) -> Path:
    """Return the folder of an epoch's slices."""
    return run / FOLDER / f"epoch_{epoch:05d}"


def is_sample_epoch(epoch: int, epochs: int) -> bool:
    """Return whether an epoch, counted from 1, leaves slices: the first, the last, and about `EPOCHS` between."""
    return epoch in (1, epochs) or epoch % max(1, epochs // EPOCHS) == 0


def choose_slices(readers: Iterable[CropReader], count: int = COUNT) -> tuple[SliceChoice, ...]:
    """Return which slices to keep: those that show most classes, and together as many classes as possible.

    Parameters
    ----------
    readers
        Validation crops.
    count
        How many slices.
    """
    ordered = _by_new_classes(list(readers))
    wanted = [(reader, axis) for axis in range(3) for reader in ordered]
    return tuple(_choice(reader, axis) for reader, axis in wanted[:count])


def write_sample(path: Path, sample: Sample) -> None:
    """Write a slice whole, or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(
                file,
                raw=sample.raw,
                truth=sample.truth,
                probability=sample.probability,
                names=np.array(sample.names),
                voxel_size_nm=np.array(sample.voxel_size_nm, np.float64),
                position=np.array(sample.position, np.int64),
                axis=np.array(sample.axis),
                ref=np.array(sample.ref),
                epoch=np.array(sample.epoch),
                step=np.array(sample.step),
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_sample(path: Path) -> Sample:
    """Return a slice as it was kept.

    Raises
    ------
    DataError
        If the file cannot be read, is cut short or is no slice.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            z, y, x = kept["position"].tolist()
            size_z, size_y, size_x = kept["voxel_size_nm"].tolist()
            sample = Sample(
                ref=str(kept["ref"]),
                axis=str(kept["axis"]),
                epoch=int(kept["epoch"]),
                step=int(kept["step"]),
                names=tuple(str(name) for name in kept["names"]),
                raw=kept["raw"],
                truth=kept["truth"],
                probability=kept["probability"],
                voxel_size_nm=(size_z, size_y, size_x),
                position=(z, y, x),
            )
    except (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no example slice: {error}", _REMEDY) from None
    _check(path, sample)
    return sample


def _check(path: Path, sample: Sample) -> None:
    expected = (len(sample.names), *sample.raw.shape)
    if sample.truth.shape != expected or sample.probability.shape != expected or sample.raw.ndim != 2:
        raise DataError(f"{path} holds arrays that do not fit each other", _REMEDY)


def _by_new_classes(readers: list[CropReader]) -> list[CropReader]:
    """Return crops such that each adds as many classes as possible to those before it."""
    left, ordered = list(readers), []
    seen: set[int] = set()
    while left:
        best = max(left, key=lambda reader: (len(_classes(reader.crop) - seen), len(_classes(reader.crop))))
        left.remove(best)
        ordered.append(best)
        seen |= _classes(best.crop)
    return ordered


def _classes(crop: BankCrop) -> set[int]:
    return set(np.flatnonzero(crop.counts[:, 0]).tolist())


def _choice(reader: CropReader, axis: int) -> SliceChoice:
    crop = reader.crop
    ratio = np.array(crop.grid.voxel_size_nm) / np.array(reader.grid.voxel_size_nm)
    places = [np.floor((seeds + 0.5) * ratio).astype(np.int64) for seeds in crop.seeds if len(seeds)]
    shape = np.array(reader.shape)
    every = np.minimum(np.concatenate(places), shape - 1) if places else (shape // 2)[None]
    index = _plane([part[:, axis] for part in places], int(shape[axis]))
    start, stop = [0, 0, 0], [0, 0, 0]
    for other in range(3):
        edge = min(int(shape[other]), MAX_EDGE)
        middle = int(np.median(every[:, other]))
        start[other] = min(max(middle - edge // 2, 0), int(shape[other]) - edge)
        stop[other] = start[other] + edge
    start[axis], stop[axis] = index, index + 1
    return SliceChoice(crop.ref, axis, Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])))


def _plane(places: list[NDArray[np.int64]], count: int) -> int:
    """Return the plane with most classes; of those the one that shows most of them."""
    if not places:
        return count // 2
    shares = np.stack([np.bincount(np.minimum(part, count - 1), minlength=count) / len(part) for part in places])
    return int(np.argmax((shares > 0).sum(axis=0) + shares.mean(axis=0)))


def _from(inside: Box, origin: Box) -> Box:
    z, y, x = (-first for first in origin.start)
    return inside.shifted((z, y, x))
