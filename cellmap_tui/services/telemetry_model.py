"""The telemetry of a run: ``telemetry.jsonl``, a line a second, apart from the events so that those stay small.

Owns the format and reading it. A line of kind ``machine`` says what there is and stands at the beginning of
every attempt; lines of kind ``reading`` follow. What cannot be told is null, never 0. Shares are 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "telemetry.jsonl"
"""The file's name in a run directory."""
FORMAT = 1
"""Number of the format; fields may be added without a new one."""
INTERVAL_S = 1.0
TAIL_BYTES = 2**16
"""How much of the end of a file is looked at for its last lines."""

GpuKind = Literal["gpu", "mig"]


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU, or one part of a GPU, and what does not change about it."""

    index: int
    """Number that readings use: counted from 0 over the GPUs that the job may use."""
    name: str
    """What the driver calls it."""
    uuid: str
    """What tells it from all others; empty: not known."""
    kind: GpuKind = "gpu"
    """``mig``: a part of a GPU; what only the whole can tell (power, temperature, clocks) is the whole's."""
    memory_bytes: int | None = None
    """Its memory."""
    power_limit_w: float | None = None
    """Most power it may take."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a job runs on."""

    time_s: float
    """When it was looked at, Unix seconds."""
    host: str
    """Name of the machine."""
    pid: int
    """The job's process."""
    processors: int | None = None
    """Processors of the machine."""
    memory_bytes: int | None = None
    """Its memory."""
    swap_bytes: int | None = None
    """Its swap space."""
    container_limit_bytes: int | None = None
    """Memory that the control group (container, batch job) allows; None: no limit."""
    gpu_state: str = ""
    """``ok``, or in words why there is no GPU to read."""
    driver: str = ""
    """Version of the GPU driver; empty: none, or not known."""
    gpus: tuple[GpuFacts, ...] = ()
    """The GPUs that the job may use."""
    interval_s: float = INTERVAL_S
    """Time between readings."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU does."""

    index: int
    """Its number in `Machine.gpus`."""
    utilisation: float | None = None
    """Share of the last moment in which a kernel ran, 0 to 1; not known of a part of a GPU."""
    memory_used_bytes: int | None = None
    """Memory in use, of all processes."""
    power_w: float | None = None
    """Power it takes."""
    temperature_c: float | None = None
    """Its temperature."""
    sm_clock_mhz: float | None = None
    """Clock of its processors."""
    memory_clock_mhz: float | None = None
    """Clock of its memory."""
    throttle: tuple[str, ...] = ()
    """Why its clocks are held down: ``power cap``, ``heat`` …; empty: they are not, or it is not known."""
    is_lost: bool = False
    """Whether the driver has lost it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a machine does at a moment."""

    time_s: float
    """When, Unix seconds."""
    cpu: float | None = None
    """Share of all processors in use, 0 to 1."""
    process_cpu: float | None = None
    """Processors that the job and its children keep busy; 1.5: one and a half."""
    memory_used_bytes: int | None = None
    """Memory of the machine that is not available any more."""
    memory_available_bytes: int | None = None
    """Memory that processes can still get."""
    swap_used_bytes: int | None = None
    """Swap space in use."""
    process_bytes: int | None = None
    """Memory of the job and its children that only they can free; files they have mapped left out."""
    process_mapped_bytes: int | None = None
    """Files that they have mapped and that are in memory, such as crop banks; the system can take it back."""
    threads: int | None = None
    """Threads of the job's own process."""
    container_used_bytes: int | None = None
    """Memory that counts against the container's limit, caches that can be dropped left out."""
    container_peak_bytes: int | None = None
    """Most that the container ever used, caches included."""
    oom_kills: int | None = None
    """Processes that the system killed in this container for want of memory, ever."""
    disk_free_bytes: int | None = None
    """Free space of the disk that holds the run directory."""
    read_bytes_s: float | None = None
    """Bytes that the job read from disks, a second."""
    write_bytes_s: float | None = None
    """Bytes that the job wrote to disks, a second."""
    gpus: tuple[GpuReading, ...] = field(default=())
    """The GPUs."""


def to_line(row: Machine | Reading) -> str:
    """Return a row as a line of JSON, without its line break; numbers are rounded to what means something."""
    import json

    kind = "machine" if isinstance(row, Machine) else "reading"
    told = {"v": FORMAT, "kind": kind, "time": round(row.time_s, 3), **_plain(row)}
    del told["time_s"]
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_line(line: str | bytes) -> Machine | Reading | None:
    """Return the row of a line; None for a torn one, or one of another kind."""
    import json

    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("time"), int | float):
        return None
    told["time_s"] = float(told["time"])
    model = {"machine": Machine, "reading": Reading}.get(str(told.get("kind")))
    part = {Machine: GpuFacts, Reading: GpuReading}.get(model) if model else None
    if model is None or part is None:
        return None
    gpus = told.get("gpus")
    told["gpus"] = tuple(
        found for one in (gpus if isinstance(gpus, list) else ()) if (found := _model(part, one)) is not None
    )
    row: Machine | Reading | None = _model(model, told)
    return row


def read_telemetry(path: Path) -> Iterator[Machine | Reading]:
    """Yield the rows of a file, oldest first; torn lines are passed over, no file has no rows."""
    try:
        with path.open("rb") as file:
            for line in file:
                row = parse_line(line)
                if row is not None:
                    yield row
    except FileNotFoundError:
        return


def last_rows(path: Path, tail_bytes: int = TAIL_BYTES) -> tuple[Machine | Reading, ...]:
    """Return the rows at the end of a file, oldest first; its size does not matter."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            start = max(0, file.tell() - tail_bytes)
            file.seek(start)
            lines = file.read(tail_bytes).split(b"\n")
    except OSError:
        return ()
    whole = lines[1:] if start else lines
    return tuple(row for row in map(parse_line, whole) if row is not None)


def last_machine(path: Path) -> Machine | None:
    """Return what the latest attempt ran on."""
    return next((row for row in reversed(tuple(read_telemetry(path))) if isinstance(row, Machine)), None)


def last_reading(path: Path) -> Reading | None:
    """Return the last reading before a run ended or died."""
    return next((row for row in reversed(last_rows(path)) if isinstance(row, Reading)), None)


def _plain(row: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for item in fields(row):
        value = getattr(row, item.name)
        if isinstance(value, float):
            value = round(value, 3) if value == value and abs(value) < float("inf") else None
        elif isinstance(value, tuple):
            value = [part if isinstance(part, str) else _plain(part) for part in value]
        told[item.name] = value
    return told


def _model(model: type[Any], told: Mapping[str, Any]) -> Any:
    """Return a model of what is known of it; None if something that it cannot do without is not there."""
    if not isinstance(told, dict):
        return None
    known = {item.name: told[item.name] for item in fields(model) if item.name in told}
    if "throttle" in known:
        known["throttle"] = tuple(map(str, known["throttle"])) if isinstance(known["throttle"], list) else ()
    try:
        return model(**known)
    except TypeError:
        return None
