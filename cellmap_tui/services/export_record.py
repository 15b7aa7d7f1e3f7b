"""What an export remembers beside its files: which are whole and of what they were made, and the manifest.

Each finished file is noted in ``.cellmap-tui/export.jsonl`` just before it gets its final name, with its size
and time. So after a kill, whatever stands under a final name is known to be whole, and an export that is
started again writes only the rest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.export_model import ExportedFile, ExportedVolume

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = ".cellmap-tui"
JOURNAL = "export.jsonl"
MANIFEST = "manifest.csv"
MANIFEST_JSON = "manifest.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that was written."""

    record: str
    """Digest of what it was made of."""
    stamp: tuple[int, int]
    """Its size in bytes and time of change in ns."""
    file: ExportedFile
    """What it holds."""


class Journal:
    """The files of an output folder that exports have written."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._path = output / FOLDER / JOURNAL
        self._finished = dict(_lines(self._path))

    def finished(self, path: str) -> Finished | None:
        """Return what is known of a file that is on disk as it was written; None otherwise."""
        known = self._finished.get(path)
        if known is None or stamp(self._output / path) != known.stamp:
            return None
        return known

    def others(self, paths: Iterable[str]) -> list[ExportedFile]:
        """Return the files of earlier exports that are still there, other than `paths`."""
        left = sorted(self._finished.keys() - set(paths))
        found = (self.finished(path) for path in left)
        return [replace(one.file, state="kept") for one in found if one is not None]

    def add(self, building: Path, record: str, file: ExportedFile) -> None:
        """Note a file that is whole and about to get its final name."""
        from cellmap_tui.services.models import to_builtins

        found = stamp(building)
        assert found is not None
        line = {"path": file.path, "record": record, "stamp": found, "volumes": to_builtins(file.volumes)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _end_torn_line(self._path)
        with self._path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
        self._finished[file.path] = Finished(record, found, file)


def digest(record: Any) -> str:
    """Return a digest of what a file is made of."""
    text = json.dumps(record, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, of a Zarr folder those of its ``.zgroup``; None where there is none."""
    try:
        found = (path / ".zgroup").stat() if path.is_dir() else path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def folder_stamp(path: Path) -> tuple[int, int]:
    """Return the number of folders below a Zarr array and when the newest of them, or its metadata, changed.

    A chunk that is written anew gets its name by a rename, which changes its folder.
    """
    newest, folders, waiting = 0, 0, [str(path)]
    while waiting:
        folder = waiting.pop()
        folders += 1
        newest = max(newest, os.stat(folder).st_mtime_ns)  # noqa: PTH116 - hot path
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.startswith("."):
                    newest = max(newest, entry.stat().st_mtime_ns)
    return folders, newest


def write_manifest(output: Path, files: Iterable[ExportedFile], about: dict[str, Any]) -> Path:
    """Write the table of all volumes as CSV and JSON; return the CSV.

    Parameters
    ----------
    output
        Folder of the export.
    files
        Files in their order.
    about
        What the JSON says of the export as a whole.
    """
    from cellmap_tui.services.models import to_builtins

    rows = [to_builtins(volume) for file in files for volume in file.volumes]
    text = io.StringIO()
    names = list(ExportedVolume.__dataclass_fields__)
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row[name]) for name in names})
    _replace(output / MANIFEST, text.getvalue())
    _replace(output / MANIFEST_JSON, json.dumps({**about, "volumes": rows}, indent=1) + "\n")
    return output / MANIFEST


def write_text(path: Path, text: str) -> None:
    """Write a small file by way of a temporary name; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ";".join(str(one) for one in value)
    if isinstance(value, dict):
        return ";".join(f"{name}={number}" for name, number in value.items())
    return "" if value is None else value


def _lines(path: Path) -> Iterable[tuple[str, Finished]]:
    from cellmap_tui.errors import RequestError
    from cellmap_tui.services.models import from_mapping

    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            raw = json.loads(line)
            volumes = tuple(from_mapping(row, ExportedVolume, source=str(path)) for row in raw["volumes"])
            size, time_ns = raw["stamp"]
            yield raw["path"], Finished(raw["record"], (size, time_ns), ExportedFile(raw["path"], volumes))
        except (ValueError, LookupError, TypeError, RequestError):
            continue  # torn by a kill, or of another version: the file counts as unknown


def _end_torn_line(path: Path) -> None:
    """Make sure that what is appended begins a line."""
    try:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    except OSError:
        return  # not there, or empty
