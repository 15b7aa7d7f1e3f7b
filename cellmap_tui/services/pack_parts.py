"""Volumes that are packed already, in a hidden folder beside the zip, so that a killed packing goes on.

A part is there when its list of members is: that is put in place last. Its key holds everything that
decides its bytes. One packing at a time works on a zip; its lock goes with its process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import astuple, dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from cellmap_tui.errors import RefusedError
from cellmap_tui.services.pack_volume import VolumeFacts

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from cellmap_tui.services.pack_volume import VolumeJob
    from cellmap_tui.services.pack_zip import Member, PartWriter

FORMAT = 1
"""Changes whenever the same prediction would give other bytes."""

FINISHED = "finished"
"""File in the folder of parts with the hash of the zip that was put in place."""


@dataclass(frozen=True, slots=True)
class Part:
    """One packed volume."""

    path: Path
    """Its members, one behind the other."""
    members: tuple[Member, ...]
    """Where they are."""
    facts: VolumeFacts
    """What the volume turned out to be."""

    @property
    def stored_bytes(self) -> int:
        """Size of its files, without the headers of the zip."""
        return sum(member[2] for member in self.members)


class Parts:
    """The folder of parts of one zip; a context that holds its lock.

    Parameters
    ----------
    output
        The zip.

    Raises
    ------
    RefusedError
        On entering, if another process packs the same zip or the folder cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self.folder = folder_of(output)
        self._lock: IO[bytes] | None = None

    def get(self, job: VolumeJob, key: str) -> Part | None:
        """Return the part that was packed under a key, None where there is none that is whole."""
        path = self._path(job)
        try:
            found = json.loads(path.with_suffix(".json").read_bytes())
            if found["key"] != key or path.stat().st_size != found["size_bytes"]:
                return None
            members = tuple((str(n), int(c), int(s), int(o)) for n, c, s, o in found["members"])
            state, dtype, max_value, warnings = found["facts"]
            return Part(path, members, VolumeFacts(state, dtype, max_value, tuple(warnings)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, job: VolumeJob) -> PartFile:
        """Return the file of a part to be written, which is put in place with `PartFile.finish`."""
        return PartFile(self._path(job))

    def discard(self, job: VolumeJob) -> None:
        """Forget a part."""
        self._path(job).with_suffix(".json").unlink(missing_ok=True)

    def mark_finished(self, sha256: str) -> None:
        """Note the hash of the zip that is about to be put in place, should the end not be reached."""
        (self.folder / FINISHED).write_text(sha256, encoding="ascii")

    def remove(self) -> None:
        """Remove the folder: the zip is in place."""
        import shutil

        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, job: VolumeJob) -> Path:
        # Names come from a manifest that may be anybody's.
        name = hashlib.sha256(job.name.encode()).hexdigest()[:24]
        return self.folder / f"{name}.part"

    def __enter__(self) -> Self:
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("ab")
        except OSError as error:
            raise RefusedError(
                f"{self.folder.parent} cannot be written: {error.strerror}", "write elsewhere with --output-path"
            ) from None
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RefusedError(
                f"another process is packing into {self.folder.parent} under the same name",
                "wait for it, or write elsewhere with --output-path",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()


class PartFile:
    """A part that is being written.

    Parameters
    ----------
    path
        Where it will be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_suffix(".writing")
        self._file: IO[bytes] | None = None
        self._writer: PartWriter | None = None

    def restart(self) -> PartWriter:
        """Return a writer at the start of the file."""
        from cellmap_tui.services.pack_zip import PartWriter

        self.close()
        with as_refused(self._path):
            self._file = self._temporary.open("wb", buffering=2**20)
        guarded: Any = _Guarded(self._file, self._path)
        self._writer = PartWriter(guarded)
        return self._writer

    def finish(self, key: str, facts: VolumeFacts) -> Part:
        """Put the part in place.

        Raises
        ------
        RefusedError
            If the disk is full.
        """
        assert self._writer is not None  # the volume was written
        writer = self._writer
        with as_refused(self._path):
            self.close()
            self._temporary.replace(self._path)
            index = {
                "key": key,
                "size_bytes": writer.size_bytes,
                "members": writer.members,
                "facts": astuple(facts),
            }
            file = self._path.with_suffix(".json")
            temporary = file.with_suffix(".json.writing")
            temporary.write_text(json.dumps(index))
            temporary.replace(file)
        return Part(self._path, tuple(writer.members), facts)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def abandon(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)


class _Guarded:
    """A file whose errors on writing are told apart from errors of what is read meanwhile."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path

    def write(self, data: bytes) -> int:
        with as_refused(self._path):
            return self._file.write(data)


class as_refused:  # noqa: N801 - reads as a statement
    """Turns what a disk may raise on writing into a refusal for people."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise DiskFullError(
                f"{self._path.parent} cannot be written: {error.strerror or error}",
                "make room and run it again: what is packed is kept",
            ) from None


class DiskFullError(RefusedError):
    """The disk takes no more: nothing else can be packed either."""


def folder_of(output: Path) -> Path:
    """Return the folder of the parts of a zip."""
    return output.with_name(f".{output.name}.parts")


def is_unfinished(output: Path) -> bool:
    """Return whether a zip was put in place by a packing that was killed before it had tidied up."""
    from cellmap_tui.services.pack_provenance import file_hash

    try:
        expected = (folder_of(output) / FINISHED).read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
    return file_hash(output) == expected


def part_key(job: VolumeJob) -> str:
    """Return a hash over everything that decides the bytes of a part."""
    from cellmap_tui.scoring.limits import Limits

    place = job.place
    parts = {
        "format": FORMAT,
        "name": job.name,
        "grid": astuple(job.grid),
        "is_instance": job.is_instance,
        "threshold": job.threshold,
        "stack": None if place is None or place.stack is None else astuple(place.stack),
        "content": "" if place is None else _content(place.store, place.key),
        "ratio": Limits.from_environment().max_volume_size_ratio,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _content(store: Path, key: str) -> str:
    from cellmap_tui.services.evaluate_store import fingerprint

    if store.is_dir():
        return fingerprint(store / key)
    facts = os.stat(store)  # noqa: PTH116 - a path in any case
    return f"{store}:{key}:{facts.st_size}:{facts.st_mtime_ns}:{facts.st_ctime_ns}"
