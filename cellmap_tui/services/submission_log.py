"""The log of submissions: one file of lines in the state folder, only ever appended to.

A line is an event: packed, uploaded, scored. What a submission is now is told by its events in order.
Beside the log, a file a submission holds the hash of each volume, so that two can be compared when the
zips are gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, DataError, UnknownNameError
from cellmap_tui.services.submission_log_model import ScoreNote, Submission, Upload
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UPLOAD_URL = "https://cellmapchallenge.janelia.org/submissions/"
"""Where a zip is handed in; one signs in with a GitHub account."""

LIMITS_CHECKED = "2026-06-30"
"""Date of the official documents that `LIMITS` was read from."""

LIMITS = (
    "there was no limit on submissions per day; the organisers may set one. Scoring takes up to about 3 h, "
    "most of it for crops with many objects"
)

FILE = "submissions.jsonl"
FOLDER = "submissions"
ID_LENGTH = 8


class SubmissionLog:
    """The log in a state folder.

    Parameters
    ----------
    state_dir
        The folder; made when something is first written.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / FILE
        self._folder = state_dir / FOLDER

    def all(self) -> tuple[Submission, ...]:
        """Return all submissions, the latest packed or uploaded first.

        Raises
        ------
        CellmapError
            If the file cannot be read.
        """
        found: dict[str, Submission] = {}
        for event in self._events():
            with contextlib.suppress(KeyError, TypeError, ValueError):  # a line of another version says nothing here
                _take_in(found, event)
        return tuple(sorted(found.values(), key=_latest, reverse=True))

    def find(self, word: str) -> Submission:
        """Return the submission that a word names: ``latest``, a part of its hash, or its path.

        Raises
        ------
        UnknownNameError
            If there is none, or several.
        """
        known = self.all()
        if word == "latest" and known:
            return known[0]
        by_path = [s for s in known if str(s.path) == str(Path(word).expanduser().absolute())]
        by_hash = [s for s in known if len(word) >= 3 and s.sha256.startswith(word.lower())]
        found = by_path[:1] or by_hash
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownNameError(f"{word} is the start of {len(found)} submissions", "give more of the hash")
        near = nearest(word, [s.id for s in known])
        hint = f"did you mean {near}?" if near else "see: cellmap-tui submissions"
        raise UnknownNameError(f"no submission {printable(word)!r} in the log", hint)

    def add_packed(
        self,
        path: Path,
        sha256: str,
        facts: Mapping[str, Any],
        volumes: Mapping[str, str],
        time_s: float | None = None,
    ) -> str:
        """Note a zip that was packed, or met, and return its id.

        Parameters
        ----------
        facts
            ``size_bytes``, ``required``, ``present``, ``empty``, ``missing``, ``provenance``, ``is_packed``.
        volumes
            Hash of each volume by crop and class.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        content = self._folder / f"{sha256[:ID_LENGTH]}.json"
        temporary = content.with_name(f".{content.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(dict(volumes), sort_keys=True), encoding="utf-8")
        temporary.replace(content)
        self._append("packed", sha256, time_s, path=str(path), **facts)
        return sha256[:ID_LENGTH]

    def add_upload(self, submission: Submission, note: str, time_s: float | None = None) -> None:
        """Note that a submission was handed in."""
        self._append("uploaded", submission.sha256, time_s, note=note)

    def add_score(self, submission: Submission, score: ScoreNote) -> None:
        """Note a score."""
        fields = {
            "origin": score.origin,
            "overall": score.overall,
            "instance": score.instance,
            "semantic": score.semantic,
            "profile": score.profile,
        }
        self._append("scored", submission.sha256, score.time_s, **fields)

    def volumes(self, submission: Submission) -> dict[str, str]:
        """Return the hash of each volume by crop and class.

        Raises
        ------
        DataError
            If they are not kept.
        """
        try:
            found = json.loads((self._folder / f"{submission.id}.json").read_bytes())
        except (OSError, ValueError):
            raise DataError(f"the volumes of submission {submission.id} are not kept", "pack it again") from None
        return dict(found)

    def _events(self) -> Iterable[dict[str, Any]]:
        try:
            lines = self._file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise CellmapError(f"{self._file} cannot be read: {error.strerror}", "check its permissions") from None
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that a power cut tore
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event

    def _append(self, event: str, sha256: str, time_s: float | None, **fields: object) -> None:
        import fcntl

        stamp = round(time.time() if time_s is None else time_s, 3)
        line = json.dumps({"v": 1, "event": event, "time": stamp, "sha256": sha256, **fields}) + "\n"
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) and not _ends_a_line(file):
                    file.write(b"\n")
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CellmapError(
                f"the log of submissions cannot be written: {self._file}: {error.strerror}", "check the disk"
            ) from None


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _take_in(found: dict[str, Submission], event: Mapping[str, Any]) -> None:
    sha256, kind, time_s = str(event["sha256"]), event["event"], float(event["time"])
    known = found.get(sha256)
    if kind == "packed":
        found[sha256] = _packed(known, sha256, time_s, event)
    elif known is None:
        return
    elif kind == "uploaded":
        found[sha256] = replace(known, uploads=(*known.uploads, Upload(time_s, str(event["note"]))))
    elif kind == "scored":
        score = ScoreNote(
            event["origin"],
            float(event["overall"]),
            event.get("instance"),
            event.get("semantic"),
            str(event.get("profile") or ""),
            time_s,
        )
        found[sha256] = replace(known, scores=(*known.scores, score))


def _packed(known: Submission | None, sha256: str, time_s: float, event: Mapping[str, Any]) -> Submission:
    packed_s = time_s if event.get("is_packed") else known.packed_s if known else None
    provenance = event.get("provenance")
    return Submission(
        id=sha256[:ID_LENGTH],
        sha256=sha256,
        path=Path(str(event["path"])),
        size_bytes=int(event["size_bytes"]),
        packed_s=packed_s,
        required=int(event["required"]),
        present=int(event["present"]),
        empty=int(event["empty"]),
        missing=int(event["missing"]),
        provenance=provenance if isinstance(provenance, dict) else {},
        uploads=known.uploads if known else (),
        scores=known.scores if known else (),
        note=str(event.get("note") or (known.note if known else "")),
    )


def _latest(submission: Submission) -> float:
    times = [submission.packed_s or 0.0, *(upload.time_s for upload in submission.uploads)]
    return max(times)
