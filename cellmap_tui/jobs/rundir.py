"""A run directory: where its files lie, how a new one is made, and what was asked of it.

One directory a run, ``<runs root>/<UTC time>-<command>-<short id>/``. Everything that any viewer
needs is in there, so a run can be copied, archived or read on another machine.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, DataError, RefusedError
from cellmap_tui.jobs.events import FORMAT_VERSION, Event, EventLog
from cellmap_tui.jobs.files import (
    clean_text,
    integer_or_none,
    number_or_none,
    read_json_object,
    replace_file,
    text_or_none,
)
from cellmap_tui.jobs.process import host_name, user_name
from cellmap_tui.jobs.state import RunState, write_state
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN_NAME = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]+-[0-9a-f]{6}")
"""What the directories are called that this tool makes."""

# Values that say how a job was run and never hold a secret; of every other variable not even the name is kept.
_TOLD_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "LSB_JOBID", "JOB_ID",
    "CONDA_DEFAULT_ENV", "VIRTUAL_ENV", "LANG", "TERM",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run directory."""

    path: Path
    """The directory itself."""

    @property
    def run_id(self) -> str:
        """The run's name, which is the directory's."""
        return self.path.name

    @property
    def request_path(self) -> Path:
        """What was asked; replaced only when the run is resumed with another request."""
        return self.path / "request.json"

    @property
    def events_path(self) -> Path:
        """The event log."""
        return self.path / "events.jsonl"

    @property
    def state_path(self) -> Path:
        """State, process and heartbeat; replaced whole."""
        return self.path / "state.json"

    @property
    def lock_path(self) -> Path:
        """Locked while the job lives."""
        return self.path / "lock"

    @property
    def control_path(self) -> Path:
        """Folder of requests to the job."""
        return self.path / "control"

    @property
    def log_path(self) -> Path:
        """What the job wrote to stdout and stderr, and tracebacks."""
        return self.path / "log.txt"

    @property
    def cluster_path(self) -> Path:
        """Which cluster's queue the job is to wait in; only where one was rendered for it."""
        return self.path / "cluster.json"

    @property
    def result_path(self) -> Path:
        """The result; written at the end."""
        return self.path / "result.json"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What ``request.json`` says."""

    command: str
    """Name of the command, as in `services.registry.COMMANDS`."""
    values: dict[str, Any]
    """The request's fields, as plain JSON values."""
    tool_version: str | None = None
    """Version of cellmap-tui that wrote it."""
    arguments: tuple[str, ...] = ()
    """The command line, with passwords in addresses left out."""
    working_dir: str | None = None
    """Directory that relative paths of the request are relative to."""
    created_s: float | None = None
    """When the run was made, Unix seconds."""
    version: int = FORMAT_VERSION
    """Version of the format."""


def create_run(runs_root: Path, command: str, request: object, argv: Sequence[str] | None = None) -> RunDir:
    """Make the directory of a new run in state ``queued``.

    Parameters
    ----------
    runs_root
        Folder of the run directories; made when it does not exist.
    command
        Name of the command.
    request
        Its request model; checked field by field against its types.
    argv
        The command line, for the record.

    Raises
    ------
    RequestError
        If a field of the request does not have its type.
    RefusedError
        If the directory cannot be made.
    """
    from cellmap_tui.services.models import from_json, to_builtins, to_json

    from_json(to_json(request), type(request), source=command)
    created_s = round(time.time(), 3)
    try:
        run = _new_directory(runs_root, command, created_s)
        document = {
            "v": FORMAT_VERSION,
            "tool_version": __version__,
            "command": command,
            "created": created_s,
            "argv": [_without_password(argument) for argument in argv or ()],
            "cwd": _working_dir(),
            "environment": environment_summary(),
            "request": to_builtins(request),
        }
        replace_file(run.request_path, _encode(document), durable=True)
        mark_queued(run, user_name())
    except OSError as error:
        raise RefusedError(
            f"cannot make a run directory in {runs_root}: {error.strerror}", "choose another with --runs-root"
        ) from None
    return run


def replace_request(run: RunDir, request: object, argv: Sequence[str] | None = None) -> None:
    """Write what is asked of a run from now on, only while no job lives; the request before stays, under ``earlier``.

    Raises
    ------
    DataError
        If its request cannot be read.
    RequestError
        If a field of the request does not have its type.
    """
    from cellmap_tui.services.models import from_json, to_builtins, to_json

    document = read_json_object(run.request_path)
    if document is None:
        raise DataError(f"run {run.run_id} has no request.json", "it cannot be started again")
    from_json(to_json(request), type(request), source=str(document.get("command")))
    before = {name: document.get(name) for name in ("changed", "argv", "cwd", "request")}
    earlier = document.get("earlier")
    document |= {
        "tool_version": __version__,
        "changed": round(time.time(), 3),
        "argv": [_without_password(argument) for argument in argv or ()],
        "cwd": _working_dir(),
        "environment": environment_summary(),
        "request": to_builtins(request),
        "earlier": [*(earlier if isinstance(earlier, list) else []), before],
    }
    replace_file(run.request_path, _encode(document), durable=True)
    run.result_path.unlink(missing_ok=True)


def mark_queued(run: RunDir, by: str) -> None:
    """Write that the run waits for its job; only while no job lives."""
    now_s = round(time.time(), 3)
    log = EventLog(run.events_path)
    try:
        log.write(Event("state", now_s, {"state": "queued", "by": by}))
    finally:
        log.close()
    write_state(run.state_path, RunState(state="queued", host=host_name(), heartbeat_s=now_s, created_s=now_s, by=by))


def read_request(run: RunDir) -> RunRequest:
    """Read what was asked.

    Raises
    ------
    DataError
        If ``request.json`` is missing, is not JSON, or names no command.
    """
    document = read_json_object(run.request_path)
    if document is None:
        raise DataError(
            f"run {run.run_id} has no request.json", "it cannot be started again; its other files can be read"
        )
    command = document.get("command")
    if not isinstance(command, str):
        raise DataError(f"{run.request_path}: key 'command' is missing or no text")
    values, arguments = document.get("request"), document.get("argv")
    return RunRequest(
        command=command,
        values=values if isinstance(values, dict) else {},
        tool_version=text_or_none(document.get("tool_version")),
        arguments=tuple(str(a) for a in arguments) if isinstance(arguments, list) else (),
        working_dir=text_or_none(document.get("cwd")),
        created_s=number_or_none(document.get("created")),
        version=integer_or_none(document.get("v")) or FORMAT_VERSION,
    )


def environment_summary() -> dict[str, str]:
    """Return what is worth knowing about where a job was started, without secrets."""
    told = {name: os.environ[name] for name in _TOLD_VARIABLES if name in os.environ}
    return {
        "python": platform.python_version(),
        "executable": clean_text(sys.executable),
        "platform": platform.platform(),
        "host": host_name(),
        "cpus": str(os.cpu_count()),
        **{name: clean_text(value) for name, value in told.items()},
    }


def _new_directory(runs_root: Path, command: str, created_s: float) -> RunDir:
    runs_root.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(created_s))
    name = re.sub(r"[^a-z0-9]+", "-", command.lower()).strip("-") or "run"
    while True:
        path = runs_root.absolute() / f"{stamp}-{name}-{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        (path / "control").mkdir()
        return RunDir(path)


def _working_dir() -> str:
    try:
        return clean_text(str(Path.cwd()))
    except OSError:  # it was removed under us
        return str(Path.home())


def _without_password(argument: str) -> str:
    return re.sub(r"(\w://)[^/@\s]*@", r"\1", clean_text(argument))


def _encode(document: object) -> bytes:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def resume_command(run: RunDir) -> str:
    """Return what continues a run: by its name, or by its path where it is not below the usual root."""
    from cellmap_tui.services.settings import load_settings

    try:
        is_usual = load_settings().runs_root.absolute() == run.path.absolute().parent
    except CellmapError:
        is_usual = False
    name = run.run_id if is_usual else shlex.quote(str(run.path.absolute()))
    return f"cellmap-tui runs resume {name}"
