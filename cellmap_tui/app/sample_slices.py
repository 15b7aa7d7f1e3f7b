"""Example slices of a training: which there are, epoch by epoch, and reading one without trusting its file.

A run directory may come from anywhere, so a file is looked at before numpy makes room for what it says it holds:
no pickles, no array larger than a slice can be.
"""

from __future__ import annotations

import re
import stat
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.errors import DataError
from cellmap_tui.learning.samples import FOLDER, Sample, read_sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

MOST_FILE_BYTES = 128 * 2**20
"""Largest file that is opened."""
MOST_BYTES = 512 * 2**20
"""Most that the arrays of a file may hold: 1,000 channels of 512 x 512 voxels, twice."""
MOST_EDGE = 4096
"""Longest edge of a slice in voxels."""
MOST_CHANNELS = 1024
MOST_MEMBERS = 32
"""Most arrays in a file; a slice has ten."""
MOST_SLICES = 64
"""Slices of an epoch that can be looked at; a training keeps six."""
MOST_EPOCHS = 10_000
_EPOCH = re.compile(r"epoch_(\d{1,9})")
_REMEDY = "leave it out; a later epoch writes new ones"
_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    NotImplementedError,  # a kind of compression that Python does not know
    RuntimeError,  # a password
    zipfile.BadZipFile,
    zlib.error,
)
_PICTURES = ("raw", "truth", "probability")


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """The slices that a training has left so far."""

    epochs: tuple[int, ...] = ()
    """Epochs with slices, in order."""
    names: tuple[str, ...] = ()
    """Slices of any epoch, by the names of their files without ending, in order."""
    paths: Mapping[tuple[int, str], Path] = field(default_factory=dict)
    """The file of an epoch's slice."""

    def near(self, epoch: int, name: str) -> int | None:
        """Return the epoch nearest to this one that has the slice; None: no epoch has."""
        having = [one for one in self.epochs if (one, name) in self.paths]
        return min(having, key=lambda one: (abs(one - epoch), one), default=None)


class SampleFolder:
    """Finds the slices of a run; lists a folder again only when it has changed.

    Parameters
    ----------
    run
        The run directory.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / FOLDER
        self._listed: dict[Path, tuple[int, tuple[str, ...]]] = {}
        self._found: dict[int, tuple[str, ...]] = {}
        self._index = SampleIndex()

    def look(self) -> SampleIndex:
        """Return what is there now: the same object as before if nothing has changed."""
        found = {epoch: names for epoch, path in _epochs(self._folder) if (names := self._names(path))}
        if found != self._found:
            self._found, self._index = found, self._made(found)
        return self._index

    def _names(self, folder: Path) -> tuple[str, ...]:
        try:
            changed_ns = folder.stat().st_mtime_ns
            known = self._listed.get(folder)
            if known is None or known[0] != changed_ns:
                stems = sorted(path.stem for path in folder.iterdir() if _is_slice(path.name))
                self._listed[folder] = known = (changed_ns, tuple(stems[:MOST_SLICES]))
        except OSError:
            return ()
        return known[1]

    def _made(self, found: Mapping[int, tuple[str, ...]]) -> SampleIndex:
        epochs = tuple(sorted(found))
        names = tuple(sorted({name for names in found.values() for name in names})[:MOST_SLICES])
        paths = {(epoch, name): self._path(epoch, name) for epoch in epochs for name in found[epoch] if name in names}
        return SampleIndex(epochs, names, paths)

    def _path(self, epoch: int, name: str) -> Path:
        return self._folder / f"epoch_{epoch:05d}" / f"{name}.npz"


def read_slice(path: Path) -> Sample:
    """Return a slice, after a look at what its file claims to hold.

    Raises
    ------
    DataError
        If it cannot be read, is cut short, is no slice, or is larger than one can be.
    """
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):
            raise ValueError("no file")
        if told.st_size > MOST_FILE_BYTES:
            raise ValueError("larger than a slice can be")
        with path.open("rb") as file:
            _check(file)
    except _FAULTS as error:
        raise DataError(f"{path} is no example slice: {error}", _REMEDY) from None
    try:
        return read_sample(path)
    except (zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is no example slice: {error}", _REMEDY) from None


def _epochs(folder: Path) -> list[tuple[int, Path]]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    found = [(int(match[1]), folder / name) for name in names if (match := _EPOCH.fullmatch(name))]
    # Another spelling of the same number is nobody's: the writer pads to five digits.
    own = [(epoch, path) for epoch, path in found if path.name == f"epoch_{epoch:05d}"]
    return sorted(own)[-MOST_EPOCHS:]


def _is_slice(name: str) -> bool:
    return name.endswith(".npz") and not name.startswith(".")


def _check(file: IO[bytes]) -> None:
    """Raise ValueError unless every array is one of a slice, by what their headers say."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"{len(members)} arrays")
        if sum(member.file_size for member in members) > MOST_BYTES:
            raise ValueError("its arrays are larger than those of a slice can be")
        for member in members:
            with archive.open(member) as part:
                _check_array(Path(member.filename).stem, part, member.file_size)


def _check_array(name: str, part: IO[bytes], size_bytes: int) -> None:
    version = np.lib.format.read_magic(part)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name} has version {version} of the format")
    try:
        shape, _, dtype = readers[version](part)
    except (SyntaxError, tokenize.TokenError, UserWarning) as error:  # numpy reads a header as Python would
        raise ValueError(f"{name} has a header that nobody can read: {error}") from None
    if dtype.hasobject:
        raise ValueError(f"{name} holds objects")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > size_bytes:
        raise ValueError(f"{name} is cut short")
    if name not in _PICTURES:
        return
    if dtype != np.uint8 or len(shape) != (2 if name == "raw" else 3):
        raise ValueError(f"{name} is no picture")
    if max(shape[-2:]) > MOST_EDGE or min(shape[-2:]) < 1 or (len(shape) == 3 and shape[0] > MOST_CHANNELS):
        raise ValueError(f"{name} has the shape {shape}")
