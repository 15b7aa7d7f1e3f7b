"""How far a fetch is, crop by crop, in two files beside the data that any viewer may read.

``<data root>/.cellmap-tui/fetches/<id>/plan.json`` is the plan, written once; ``state.json`` is replaced
about twice a second. The artefact ``fetch-state`` of a run names the folder. The event log tells the
bytes of all crops together; this is the finer picture, and it survives the job's death as it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import Literal, TypeVar

from cellmap_tui.challenge.layout import sidecar_path
from cellmap_tui.services.fetch_model import FetchPlan

T = TypeVar("T")

FOLDER = "fetches"
PLAN, STATE = "plan.json", "state.json"
KEPT = 20
"""States of earlier fetches that are kept beside the data."""

CropWork = Literal["queued", "fetching", "complete", "incomplete"]
Phase = Literal["transferring", "making levels", "ended"]


@dataclass(frozen=True, slots=True)
class PartState:
    """A class or an EM level of a crop."""

    name: str
    """``labels/<class>``, ``em/<level>`` or ``metadata``."""
    done: int
    """Objects on disk, checked; absent ones count as done."""
    objects: int
    """Objects that are wanted."""


@dataclass(frozen=True, slots=True)
class CropState:
    """How far one crop is."""

    ref: str
    """Crop."""
    what: str
    """Its parts in a few words."""
    state: CropWork
    """What is happening to it."""
    done: int
    """Objects on disk, checked."""
    objects: int
    """Objects that are wanted."""
    done_bytes: int
    """Bytes of the former."""
    bytes: int
    """Bytes of the latter."""
    failed: int
    """Objects that stay without."""
    parts: tuple[PartState, ...] = ()
    """Its classes and levels, for a crop that is being fetched."""


@dataclass(frozen=True, slots=True)
class FetchState:
    """How far a fetch is."""

    v: int
    """Version of the format."""
    time: float
    """When this was written, Unix seconds."""
    phase: Phase
    """What the fetch is doing."""
    done_bytes: int
    """Bytes fetched, or found on disk and checked, in this run."""
    total_bytes: int
    """Bytes that were to fetch or to check when it began."""
    fetched: int
    """Objects that came from the bucket."""
    skipped: int
    """Objects that were on disk and turned out right."""
    absent: int
    """Listed objects that the bucket turned out not to have."""
    failed: int
    """Objects that stay without."""
    in_flight: int
    """Requests under way."""
    width: int
    """Requests that may be under way."""
    requests: int
    """Requests sent, repeated ones too."""
    waiting_since: float | None
    """Unix seconds since when the server does not answer; None while it does."""
    waiting_for: str
    """Why it waits; empty while it does not."""
    crops: tuple[CropState, ...]
    """The crops, in the order of the plan."""


def state_folders(data_root: Path) -> list[Path]:
    """Return the folders of the fetches that are remembered, the newest first."""
    return sorted((p.parent for p in sidecar_path(data_root, FOLDER).glob(f"*/{PLAN}")), reverse=True)


def new_state_folder(data_root: Path, plan: FetchPlan) -> Path:
    """Make the folder of a fetch, write its plan, and forget the oldest ones.

    Raises
    ------
    OSError
        If the data root cannot be written.
    """
    for old in state_folders(data_root)[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = sidecar_path(data_root, FOLDER) / f"{stamp}-{os.getpid()}-{os.urandom(3).hex()}"
    folder.mkdir(parents=True)
    _write(folder / PLAN, plan)
    return folder


def write_state(folder: Path, state: FetchState) -> None:
    """Replace the state; a disk that takes it not keeps the older one."""
    with contextlib.suppress(OSError):
        _write(folder / STATE, state)


def read_plan(folder: Path) -> FetchPlan | None:
    """Return the plan of a fetch; None where it cannot be read."""
    return _read(folder / PLAN, FetchPlan)


def read_state(folder: Path) -> FetchState | None:
    """Return how far a fetch is; None where it has not written that yet."""
    return _read(folder / STATE, FetchState)


def _write(path: Path, model: object) -> None:
    from cellmap_tui.services.models import to_json

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(to_json(model))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, model: type[T]) -> T | None:
    from cellmap_tui.errors import RequestError
    from cellmap_tui.services.models import from_json

    try:
        return from_json(path.read_bytes(), model, source=str(path))
    except (OSError, RequestError):
        return None
