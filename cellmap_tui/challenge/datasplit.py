"""The datasplit: which crops a network learns from and which it is checked on, as the official five-column CSV.

A row is ``usage, EM file, EM path, label file, label path``, without a header; the label path ends with
the crop's folder and, in brackets, its classes: ``recon-1/labels/groundtruth/crop234/[mito,er]``. Files are
local folders or ``s3://`` addresses. Owns the format; how crops are chosen is `services.split`'s business.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.text import cut_middle, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

Usage = Literal["train", "validate"]
"""What a crop is for."""

USAGES: tuple[Usage, ...] = ("train", "validate")
MAX_FILE_BYTES = 256 * 2**20
"""Far above any split; a larger file is none."""
_WORDS: dict[str, Usage] = {
    "train": "train",
    "validate": "validate",
    "training": "train",
    "val": "validate",
    "valid": "validate",
    "validation": "validate",
}
_BRACKETS = re.compile(r"(?P<folder>[^\[\]]*?)/*(?:\[(?P<classes>[^\[\]]*)\])?/*")
_STORE = re.compile(r"(?P<file>.*?\.(?:zarr|n5))(?:/+(?P<path>.*))?")
_CROP = re.compile(r"crop(\d{1,9})")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One crop of a split."""

    usage: Usage
    """Whether it is learned from or checked on."""
    em_file: str
    """Store of the EM: a folder, or an ``s3://`` address."""
    em_path: str
    """Multiscale group of the EM in it, such as ``recon-1/em/fibsem-uint8``."""
    label_file: str
    """Store of the labels: a folder, or an ``s3://`` address."""
    label_path: str
    """Folder of the crop in it, without classes: ``recon-1/labels/groundtruth/crop234``."""
    classes: tuple[str, ...] = ()
    """Classes (label groups in that folder) that are used; empty: all that are there."""

    @property
    def dataset(self) -> str:
        """Name of the dataset: that of the store of its labels."""
        name = self.label_file.rstrip("/").rpartition("/")[2]
        return name.removesuffix(".zarr").removesuffix(".n5")

    @property
    def crop_name(self) -> str:
        """Name of the crop's folder, such as ``crop234``."""
        return self.label_path.rstrip("/").rpartition("/")[2]

    @property
    def crop_id(self) -> int | None:
        """Number of the crop; None where its folder is not called ``crop<N>``."""
        match = _CROP.fullmatch(self.crop_name)
        return int(match[1]) if match else None

    @property
    def ref(self) -> str:
        """Name of the crop with its dataset, such as ``jrc_cos7-1a/crop234``."""
        return f"{self.dataset}/{self.crop_name}"

    @property
    def label_address(self) -> str:
        """Where the crop's label groups lie: file and path joined."""
        return f"{self.label_file}/{self.label_path}"

    @property
    def em_address(self) -> str:
        """Where the EM lies: file and path joined."""
        return f"{self.em_file}/{self.em_path}"

    @property
    def is_remote(self) -> bool:
        """Whether EM or labels are read from a bucket."""
        return is_address(self.em_file) or is_address(self.label_file)


@dataclass(frozen=True, slots=True)
class Split:
    """A whole datasplit, in the order of its file."""

    rows: tuple[SplitRow, ...]
    """Its crops."""

    @property
    def train(self) -> tuple[SplitRow, ...]:
        """Crops to learn from."""
        return self.of("train")

    @property
    def validate(self) -> tuple[SplitRow, ...]:
        """Crops to check on."""
        return self.of("validate")

    def of(self, usage: Usage) -> tuple[SplitRow, ...]:
        """Return the crops with this usage."""
        return tuple(row for row in self.rows if row.usage == usage)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that a row names, in the order of first use."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.classes))

    @property
    def on_both_sides(self) -> tuple[str, ...]:
        """Crops that are learned from and checked on: a mistake of whoever made the split."""
        train = {row.label_address for row in self.train}
        return tuple(dict.fromkeys(row.ref for row in self.validate if row.label_address in train))

    @property
    def digest(self) -> str:
        """SHA-256 of the split as `format_split` writes it, kept with every run that uses it."""
        return hashlib.sha256(format_split(self).encode()).hexdigest()


def is_address(file: str) -> bool:
    """Return whether a file of a row is an address in a bucket or on the web, and not a folder."""
    return "://" in file


def read_split(path: Path) -> Split:
    """Read a datasplit; relative folders in it are taken relative to the file.

    Raises
    ------
    MissingDataError
        If the file cannot be read.
    DataError
        If it is no datasplit; names the file and the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MissingDataError(f"datasplit {path} cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{path} is too large to be a datasplit")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    folder = path.absolute().parent
    return Split(tuple(_anchored(row, folder) for row in parse_split(text, str(path)).rows))


def parse_split(text: str, source: str = "datasplit") -> Split:
    """Parse the text of a datasplit with five columns, or the older three; paths stay as they are written.

    Parameters
    ----------
    text
        The CSV; empty lines are skipped.
    source
        What errors call it.

    Raises
    ------
    DataError
        If a row has another number of columns, an unknown usage or no path; or if there is no row.
    """
    if "\0" in text:
        raise DataError(f"{source} is no text: it has a NUL byte")
    reader = csv.reader(text.splitlines(), skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(_row([cell.strip() for cell in cells], f"{source}, line {reader.line_num}"))
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}") from None
    if not rows:
        raise DataError(f"{source} has no rows", "make one with: cellmap-tui --batch make-datasplit")
    return Split(tuple(rows))


def format_split(split: Split) -> str:
    """Return the CSV of a split, as the official toolbox writes it: every cell in quotes."""
    return "".join(_line(row) for row in split.rows)


def write_split(path: Path, split: Split) -> None:
    """Write a datasplit; the file that was there stays whole until the new one is.

    Raises
    ------
    RequestError
        If a class or path cannot stand in the format.
    """
    text = format_split(split)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def split_path(path: str) -> tuple[str, str]:
    """Return the store and the path in it: ``/d/a.zarr/recon-1/em`` gives ``/d/a.zarr`` and ``recon-1/em``."""
    match = _STORE.fullmatch(path)
    if match is None or not match["path"]:
        folder, _, name = path.rstrip("/").rpartition("/")
        return folder, name
    return match["file"], match["path"].rstrip("/")


def _row(cells: list[str], place: str) -> SplitRow:
    if len(cells) == 3:
        cells = [cells[0], *split_path(cells[1]), *split_path(cells[2])]
    if len(cells) != 5:
        number = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        raise DataError(
            f"{place}: {number}, a datasplit has 5", 'usage, EM file, EM path, label file, "label path/[classes]"'
        )
    names = ("usage", "EM file", "EM path", "label file", "label path")
    for name, cell in zip(names, cells, strict=True):
        if not cell:
            raise DataError(f"{place}: the {name} is empty")
    match = _BRACKETS.fullmatch(cells[4])
    if match is None or not match["folder"]:
        shown = cut_middle(printable(cells[4]), 60)
        raise DataError(f"{place}: {shown!r} is no crop with its classes", "as in …/groundtruth/crop234/[mito,er]")
    classes = tuple(dict.fromkeys(name.strip() for name in (match["classes"] or "").split(",") if name.strip()))
    return SplitRow(
        _usage(cells[0], place),
        cells[1].rstrip("/"),
        cells[2].strip("/"),
        cells[3].rstrip("/"),
        match["folder"].strip("/"),
        classes,
    )


def _usage(word: str, place: str) -> Usage:
    usage = _WORDS.get(word.lower())
    if usage is not None:
        return usage
    near = nearest(word, USAGES)
    hint = f"did you mean {near!r}?" if near else "the first column says train or validate, there is no header"
    raise DataError(f"{place}: {cut_middle(printable(word), 40)!r} is neither train nor validate", hint)


def _line(row: SplitRow) -> str:
    for cell in (row.em_file, row.em_path, row.label_file, row.label_path, *row.classes):
        if not cell.isprintable():
            raise RequestError(
                f"{printable(cell)!r} cannot stand in a datasplit", "use a path of printable characters"
            )
    for name in row.classes:
        if re.search(r"[\[\],/]", name) or name != name.strip():
            raise RequestError(f"class {name!r} cannot stand in a datasplit", "rename it without , / [ ] and spaces")
    labels = f"{row.label_path}/[{','.join(row.classes)}]"
    cells: Iterable[str] = (row.usage, row.em_file, row.em_path, row.label_file, labels)
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


def _anchored(row: SplitRow, folder: Path) -> SplitRow:
    return replace(row, em_file=_absolute(row.em_file, folder), label_file=_absolute(row.label_file, folder))


def _absolute(file: str, folder: Path) -> str:
    if is_address(file):
        return file
    return os.path.normpath(folder / Path(file).expanduser())
