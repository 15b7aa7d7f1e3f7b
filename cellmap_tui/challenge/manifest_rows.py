"""The lines of a published CSV file, each value read with a check that names file, line and column."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.layout import checked_name
from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.text import count, cut_middle, nearest, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.grid import Shape3, Vec3

MAX_BYTES = 32_000_000  # the published files have 1 MB; a wrong file should fail before it fills the memory
MAX_ROWS = 500_000
REMEDY = "correct the file or give another"

_CROP_ID = re.compile(r"(?:crop)?([0-9]{1,9})")
_INTEGER = re.compile(r"[0-9]{1,9}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_NM = 1e12


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest as it was read."""

    name: str
    """Path or address, for errors."""
    content: bytes
    """Its bytes."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One line of a manifest; its columns are read with a check each."""

    file: str
    """Name of the file."""
    line: int
    """Number of its last line."""
    values: dict[str, str]
    """Text by column."""

    def error(self, column: str, problem: str, remedy: str = REMEDY) -> DataError:
        """Return the error that names file, line, column and value."""
        shown = cut_middle(printable(self.values[column]), 60)
        return DataError(f"{self.file}, line {self.line}, column {column}: '{shown}' {problem}", remedy)

    def crop_id(self, column: str) -> int:
        """Return a crop number."""
        match = _CROP_ID.fullmatch(self.values[column])
        if match is None:
            raise self.error(column, "is no crop number")
        return int(match[1])

    def name(self, column: str) -> str:
        """Return a name that may become a path."""
        try:
            return checked_name(self.values[column], column)
        except RequestError as error:
            raise self.error(column, "cannot be a folder name", error.remedy) from None

    def class_name(self, column: str) -> str:
        """Return the name of a class that the table knows."""
        value = self.values[column]
        classes = builtin_classes()
        if value in classes:
            return value
        near = nearest(value, classes.names)
        raise self.error(column, "is no class", f"did you mean {near!r}?" if near else REMEDY)

    def lengths(self, column: str, *, positive: bool) -> Vec3:
        """Return three lengths in nm."""
        parts = self._triple(column)
        if not all(_FLOAT.fullmatch(part) for part in parts):
            raise self.error(column, "is not three numbers, such as [8.0;8.0;8.0]")
        z, y, x = map(float, parts)
        if not all(math.isfinite(v) and abs(v) <= _MAX_NM and (v > 0 or not positive) for v in (z, y, x)):
            raise self.error(column, f"is not three {'positive ' if positive else ''}lengths in nm")
        return (z, y, x)

    def shape(self, column: str) -> Shape3:
        """Return three numbers of voxels."""
        parts = self._triple(column)
        if not all(_INTEGER.fullmatch(part) and int(part) > 0 for part in parts):
            raise self.error(column, "is not three whole numbers above 0, such as [400;400;400]")
        z, y, x = map(int, parts)
        return (z, y, x)

    def _triple(self, column: str) -> list[str]:
        value = self.values[column]
        parts = [part.strip() for part in value[1:-1].split(";")]
        if len(parts) != 3 or not (value.startswith("[") and value.endswith("]")):
            raise self.error(column, "is not three numbers, such as [8.0;8.0;8.0]")
        return parts


def manifest_rows(file: ManifestFile, columns: tuple[str, ...]) -> Iterator[ManifestRow]:
    """Yield the rows of a CSV file that has at least these columns.

    Raises
    ------
    DataError
        If it is too large, no CSV in UTF-8, lacks a column or has no rows; names the file and the line.
    """
    if len(file.content) > MAX_BYTES:
        raise DataError(f"{file.name}: larger than {size(MAX_BYTES)}, so it is no manifest", REMEDY)
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name}: byte {error.start} is not UTF-8 text", REMEDY) from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None, strict=True)
    number = 0
    try:
        _check_header(file, reader.fieldnames, columns)
        for number, values in enumerate(reader, 1):
            yield _checked_row(file, reader.line_num, values, columns)
            if number > MAX_ROWS:
                raise DataError(f"{file.name}: more than {count(MAX_ROWS)} rows", REMEDY)
    except csv.Error as error:
        raise DataError(f"{file.name}, line {reader.line_num}: not CSV: {error}", REMEDY) from None
    if number == 0:
        raise DataError(f"{file.name} has no rows", REMEDY)


def _check_header(file: ManifestFile, names: object, columns: tuple[str, ...]) -> None:
    found = [str(name) for name in names] if isinstance(names, list | tuple) else []
    missing = [column for column in columns if column not in found]
    if missing or len(set(found)) != len(found):
        shown = cut_middle(printable(", ".join(found)), 80) or "nothing"
        problem = f"no column {missing[0]!r}" if missing else "a column stands twice"
        raise DataError(
            f"{file.name}, line 1: {problem}; found {shown}", f"a manifest of this kind has {', '.join(columns)}"
        )


def _checked_row(file: ManifestFile, line: int, values: dict[str, str], columns: tuple[str, ...]) -> ManifestRow:
    if "" in values or None in values.values():
        raise DataError(f"{file.name}, line {line}: not as many values as columns", REMEDY)
    return ManifestRow(file.name, line, {column: values[column].strip() for column in columns})
