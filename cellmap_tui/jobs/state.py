"""``state.json``: what a job is doing now, who it is, and when it last gave a sign of life."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.jobs.events import FORMAT_VERSION
from cellmap_tui.jobs.files import integer_or_none, number_or_none, read_json_object, replace_file, text_or_none

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunState:
    """What ``state.json`` says; None is "not known"."""

    state: str
    """``queued``, ``running``, ``paused``, ``stopping``, ``stopped``, ``done`` or ``failed``."""
    pid: int | None = None
    """Process id of the job on `host`."""
    process: str | None = None
    """What tells that process apart from a later one with the same id."""
    own_session: bool = False
    """Whether the job leads a session of its own, so that its process group holds nobody else."""
    host: str | None = None
    """Name of the host it runs on."""
    created_s: float | None = None
    """When this attempt was queued, Unix seconds."""
    started_s: float | None = None
    """When the job began to work, Unix seconds."""
    heartbeat_s: float | None = None
    """Last sign of life, Unix seconds of the job's clock."""
    ended_s: float | None = None
    """When it ended, Unix seconds."""
    exit_code: int | None = None
    """Exit code, once ended."""
    by: str | None = None
    """Who asked for this state."""
    version: int = FORMAT_VERSION
    """Version of the format."""


def write_state(path: Path, state: RunState, *, durable: bool = False) -> None:
    """Replace ``state.json``; on a full disk write over it, which needs no space.

    Parameters
    ----------
    durable
        Ask the disk to keep it: for what must survive a power cut.

    Raises
    ------
    OSError
        If it cannot be written either way.
    """
    import msgspec

    document = {
        "v": state.version,
        "state": state.state,
        "pid": state.pid,
        "process": state.process,
        "own_session": state.own_session,
        "host": state.host,
        "created": state.created_s,
        "start": state.started_s,
        "heartbeat": state.heartbeat_s,
        "end": state.ended_s,
        "exit": state.exit_code,
        "by": state.by,
    }
    data = msgspec.json.encode(document) + b"\n"
    try:
        replace_file(path, data, durable=durable)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _write_over(path, data)


def _write_over(path: Path, data: bytes) -> None:
    """Write into the file's own block; blanks cover what is left of a longer text, so that one write does it."""
    with path.open("r+b", buffering=0) as stream:
        stream.write(data.rstrip(b"\n").ljust(path.stat().st_size - 1) + b"\n")


def read_state(path: Path) -> RunState | None:
    """Read ``state.json``; None when there is none. Missing fields are None.

    Raises
    ------
    DataError
        If it is not JSON or names no state.
    """
    from cellmap_tui.errors import DataError

    document = read_json_object(path)
    if document is None:
        return None
    state = document.get("state")
    if not isinstance(state, str):
        raise DataError(f"{path}: key 'state' is missing or no text")
    return RunState(
        state=state,
        pid=integer_or_none(document.get("pid")),
        process=text_or_none(document.get("process")),
        own_session=document.get("own_session") is True,
        host=text_or_none(document.get("host")),
        created_s=number_or_none(document.get("created")),
        started_s=number_or_none(document.get("start")),
        heartbeat_s=number_or_none(document.get("heartbeat")),
        ended_s=number_or_none(document.get("end")),
        exit_code=integer_or_none(document.get("exit")),
        by=text_or_none(document.get("by")),
        version=integer_or_none(document.get("v")) or FORMAT_VERSION,
    )
