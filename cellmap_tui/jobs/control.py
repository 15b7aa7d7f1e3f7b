"""Requests to a living job: a file each in ``control/``, put there by a rename, removed when the job takes it.

Any viewer that can write into the run directory can ask, on any host that sees the disk. From a
shell, ``touch control/stop`` does.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, RefusedError, RequestError
from cellmap_tui.jobs.events import FORMAT_VERSION
from cellmap_tui.jobs.files import number_or_none, read_json_object, text_or_none
from cellmap_tui.jobs.process import user_name
from cellmap_tui.services.report import Ask
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.rundir import RunDir

_FILE_NAME = re.compile(r"(?:\d+-)?(?P<action>[a-z_]+)(?:-[0-9a-f]+)?(?:\.json)?")

ASK_WORDS = {
    "checkpoint": "a checkpoint now",
    "validate": "a validation now",
    "lr": "another learning rate",
    "stop_after_epoch": "a stop after this epoch",
}
"""What a training can be asked beside stop and pause, in words."""
PAUSE_ASKED, RESUME_ASKED = "pause asked by", "resume asked by"
"""What the notes begin with that answer a pause, and a resume of what had not paused yet."""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """One request to a job."""

    action: str
    """``stop``, ``pause``, ``resume``, one of `ASK_WORDS`, or what a newer version may ask."""
    by: str
    """Who asked."""
    value: float | None = None
    """What to set, where the action sets something."""


def ask_stop(run: RunDir, by: str | None = None) -> None:
    """Ask the job to finish the unit at hand, save and stop.

    Raises
    ------
    RefusedError
        If the run directory cannot be written.
    """
    _ask(run, "stop", by)


def ask_pause(run: RunDir, by: str | None = None) -> None:
    """Ask the job to wait at its next step; raises as `ask_stop`."""
    _ask(run, "pause", by)


def ask_resume(run: RunDir, by: str | None = None) -> None:
    """Ask a paused job to go on; raises as `ask_stop`."""
    _ask(run, "resume", by)


def ask(run: RunDir, action: str, value: float | None = None, by: str | None = None) -> None:
    """Ask a training for something that does not end it.

    Parameters
    ----------
    action
        One of `ASK_WORDS`.
    value
        The learning rate, for ``lr``.
    by
        Who asks; this user by default.

    Raises
    ------
    RequestError
        If nothing can be asked by that name, or ``lr`` comes without a rate.
    RefusedError
        If the run directory cannot be written.
    """
    if action not in ASK_WORDS:
        near = nearest(action, ASK_WORDS)
        raise RequestError(
            f"nothing is called {action!r}", f"did you mean {near!r}?" if near else ", ".join(ASK_WORDS)
        )
    if action == "lr" and not _is_rate(value):
        raise RequestError(f"{value} is no learning rate", "a number above 0, 10 at most")
    _ask(run, action, by, value)


def pending_requests(run: RunDir) -> tuple[str, ...]:
    """Return the actions that wait for the job, oldest first."""
    return tuple(_action(name) for name in _request_names(run.control_path))


def take_requests(run: RunDir) -> list[ControlRequest]:
    """Remove and return what was asked, oldest first; for the job alone."""
    return [_take(run.control_path / name) for name in _request_names(run.control_path)]


def discard_requests(run: RunDir) -> None:
    """Forget what was asked of a job that is no more, so that it does not stop the next one."""
    for name in _request_names(run.control_path):
        (run.control_path / name).unlink(missing_ok=True)


class Inbox:
    """What has been asked of a job and not been done yet; for the job alone."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self.stop_by: str | None = None
        """Who asked it to stop first."""
        self.pause_by: str | None = None
        """Who asked it to pause; None again when somebody asked it to go on."""
        self.is_paused = False
        """Whether the job has come to the pause and waits."""
        self.resume_by: str | None = None
        """Who asked it to go on last."""
        self._asks: list[Ask] = []

    def asks(self) -> tuple[Ask, ...]:
        """Hand out what the service itself has to do, oldest first, and forget it."""
        taken, self._asks = tuple(self._asks), []
        return taken

    @property
    def has_requests(self) -> bool:
        """Whether there is something to obey."""
        return self.stop_by is not None or self.pause_by is not None

    def look(self) -> list[tuple[str, str]]:
        """Take what was asked since the last look; return kind and message of the events that answer it."""
        answers = [self._take(request) for request in take_requests(self._run)]
        return [answer for answer in answers if answer is not None]

    def _take(self, request: ControlRequest) -> tuple[str, str] | None:
        by = request.by
        if request.action == "stop":
            is_new = self.stop_by is None
            self.stop_by = self.stop_by or by
            return None if is_new else ("note", f"stop asked again by {by}")
        if request.action == "pause":
            is_new = self.pause_by is None
            self.pause_by = self.pause_by or by
            return ("note", f"{PAUSE_ASKED} {by}") if is_new else None
        if request.action == "resume":
            self.pause_by, self.resume_by = None, by
            return None if self.is_paused else ("note", f"{RESUME_ASKED} {by}; the job was not paused")
        if request.action == "lr" and not _is_rate(request.value):
            return ("warning", f"{by} asked for another learning rate and gave none")
        if request.action in ASK_WORDS:
            self._asks.append(Ask(request.action, by, request.value))
            rate = f": {request.value:g}" if request.value is not None else ""
            return ("note", f"{by} asks for {ASK_WORDS[request.action]}{rate}")
        return ("warning", f"{by} asked for {request.action!r}, which this version does not know")


def _is_rate(value: float | None) -> bool:
    return value is not None and 0 < value <= 10


def _ask(run: RunDir, action: str, by: str | None, value: float | None = None) -> None:
    import msgspec

    now_s = time.time()
    document: dict[str, object] = {
        "v": FORMAT_VERSION,
        "action": action,
        "by": by or user_name(),
        "time": round(now_s, 3),
    }
    if value is not None:
        document["value"] = value
    name = f"{int(now_s * 1e6):017d}-{action}-{secrets.token_hex(3)}.json"
    temporary = run.control_path / f".{name}.tmp"
    try:
        run.control_path.mkdir(exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(document))
        temporary.replace(run.control_path / name)
    except OSError as error:
        raise RefusedError(
            f"cannot ask run {run.run_id} to {action}: {error.strerror}: {run.control_path}",
            "ask as the user who started it",
        ) from None


def _request_names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _take(path: Path) -> ControlRequest:
    try:
        document = read_json_object(path) or {}
    except DataError:
        document = {}  # made by hand, empty: the name alone says what is asked
    path.unlink(missing_ok=True)
    by, value = text_or_none(document.get("by")), number_or_none(document.get("value"))
    return ControlRequest(_action(path.name), by or "control file", value)


def _action(name: str) -> str:
    match = _FILE_NAME.fullmatch(name)
    return match["action"] if match else name
