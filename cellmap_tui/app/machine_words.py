"""What a training runs on, in words: GPUs, memory, disk, and where the time of a step goes. No terminal.

What a machine cannot tell is ``-``, never 0. Levels are ``""``, ``"warn"`` or ``"bad"``: a sign goes with each, so
that nothing is told by colour alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cellmap_tui import text
from cellmap_tui.app.run_words import bar
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column

if TYPE_CHECKING:
    from cellmap_tui.services.telemetry_model import GpuFacts, GpuReading, Machine, Reading

HOT_C = 85.0
"""Temperature of a GPU from which it is named; their own limits lie near 90."""
FULL_SHARE = 0.95
"""Share of a memory from which it is nearly full."""
TIGHT_SHARE = 0.85
DISK_LOW_BYTES = 5 * 10**9
"""Free disk below which a checkpoint may not fit."""
OLD_S = 10.0
"""Age of a reading, in a live run, from which it is named: they come once a second."""
WAIT_SHARE = 0.2
"""Share of a step spent waiting for data from which the loader holds the training up."""
_WARNINGS = {"set clocks", "display clocks", "sync boost"}
"""Reasons of held clocks that somebody chose, or that cost little."""
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One GPU, or a part of one, as text."""

    number: str
    """``gpu0``, ``mig1``."""
    name: str
    """What the driver calls it."""
    load: float | None
    """Share of the last moment in which a kernel ran."""
    memory: float | None
    """Share of its memory in use."""
    memory_words: str
    """``61.0 / 80.0 G``."""
    power: str
    """``610 / 700 W``."""
    temperature: str
    """``71 °C``."""
    clocks: str
    """``1 980 / 2 619 MHz``: processors, memory."""
    note: str
    """What is to be said of it: why clocks are held down, that it is lost or a part."""
    level: str
    """How bad that is."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """One figure of the machine."""

    name: str
    """What it is."""
    words: str
    """Its value."""
    share: float | None = None
    """How full, 0 to 1; None: no bar."""
    level: str = ""
    """How bad that is."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where the time of an epoch goes, in seconds; None: not known."""

    data_s: float | None
    """Waiting for data."""
    compute_s: float | None
    """Learning."""
    validation_s: float | None
    """Validating."""

    def shares(self) -> list[tuple[str, float, float]]:
        """Return the name, seconds and share of each part that is known."""
        told = [
            ("data", self.data_s),
            ("compute", self.compute_s),
            ("validation", self.validation_s),
        ]
        known = [(name, value) for name, value in told if value is not None and math.isfinite(value) and value >= 0]
        whole = sum(value for _, value in known)
        return [(name, value, value / whole) for name, value in known] if whole > 0 else []


Row = TypeVar("Row", "Machine", "Reading")


def sound(row: Row) -> Row:
    """Return a row whose fields are what they should be; what is not becomes unknown. Files may say anything."""
    gpus = tuple(_sound_part(gpu) for gpu in row.gpus if isinstance(gpu.index, int))
    checked: Row = replace(_sound_part(row), gpus=gpus)
    return checked


def gpu_rows(machine: Machine | None, reading: Reading | None) -> tuple[GpuRow, ...]:
    """Return a row for each GPU that the machine or its last reading knows, in the order of their numbers."""
    facts = {gpu.index: gpu for gpu in machine.gpus} if machine is not None else {}
    told = {gpu.index: gpu for gpu in reading.gpus} if reading is not None else {}
    return tuple(_gpu_row(index, facts.get(index), told.get(index)) for index in sorted({*facts, *told}))


def gpu_words(machine: Machine | None) -> str:
    """Return in a sentence which GPUs there are, or why there is none."""
    if machine is None:
        return "nothing was read of GPUs yet"
    if not machine.gpus:
        why = text.printable(machine.gpu_state)
        return f"no GPU: {why}" if why and why != "ok" else "no GPU"
    kinds: dict[str, int] = {}
    for gpu in machine.gpus:
        # The driver names a part of a GPU by itself: "NVIDIA H100 MIG 3g.40gb".
        kinds[gpu.name] = kinds.get(gpu.name, 0) + 1
    named = ", ".join(f"{number} × {text.printable(name)}" for name, number in kinds.items())
    return f"{named}, driver {text.printable(machine.driver)}" if machine.driver else named


def place_words(machine: Machine | None, reading: Reading | None, here: str, now_s: float, *, is_live: bool) -> str:
    """Return where and when it was read: ``gpu-07, elsewhere; last read 3 s ago``.

    Parameters
    ----------
    machine, reading
        What was read.
    here
        Name of this machine.
    now_s
        Unix seconds.
    is_live
        Whether the job goes on: an old reading is worth a word then.
    """
    host = text.printable(machine.host) if machine is not None and machine.host else "an unnamed machine"
    where = host if machine is None or machine.host == here else f"{host}, not this machine"
    if reading is None:
        return f"{where}; nothing read yet"
    age_s = now_s - reading.time_s
    if age_s < -OLD_S:
        return f"{where}; its clock is {text.duration(-age_s)} ahead"
    if is_live and age_s <= OLD_S:
        return f"{where}; read by the job every second"
    return f"{where}; last read {text.duration(age_s)} ago" + ("" if is_live else ", the job has ended")


def gpu_columns() -> tuple[Column[GpuRow], ...]:
    """Return the columns of the table of GPUs."""
    return (
        Column("gpu", "GPU", 5, lambda row: row.number),
        Column("load", "busy", 5, lambda row: percent(row.load), align="right"),
        Column("load_bar", "", 12, lambda row: _meter(row.load), priority=4),
        Column("memory", "memory", 15, lambda row: row.memory_words, align="right"),
        Column("memory_bar", "", 12, lambda row: _meter(row.memory), priority=5),
        Column("power", "power", 11, lambda row: row.power, align="right", priority=1),
        Column("heat", "heat", 5, lambda row: row.temperature, align="right", look=_heat_look),
        Column("clocks", "clocks SM / memory", 19, lambda row: row.clocks, align="right", priority=3),
        Column("note", "note", 22, _note_words, max_width=72, look=lambda row: row.level),
    )


def host_rows(machine: Machine | None, reading: Reading | None) -> tuple[HostRow, ...]:
    """Return the figures of processors, memory, container and disk."""
    if reading is None:
        return ()
    rows = [*_cpu_rows(machine, reading), *_memory_rows(machine, reading), *_container_rows(machine, reading)]
    if reading.disk_free_bytes is not None:
        is_low = reading.disk_free_bytes < DISK_LOW_BYTES
        rows.append(HostRow("disk", f"{text.size(reading.disk_free_bytes)} free", level="bad" if is_low else ""))
    if reading.read_bytes_s is not None or reading.write_bytes_s is not None:
        rows.append(HostRow("I/O", f"in {_rate(reading.read_bytes_s)}, out {_rate(reading.write_bytes_s)}"))
    return tuple(rows)


def share_line(row: HostRow, width: int) -> str:
    """Return a figure as a line: name, bar where there is a share, value, sign where it is bad."""
    mark = f"{sign('warning')} " if row.level else ""
    shown = f"{bar(min(1.0, max(0.0, row.share)), width)} " if row.share is not None else ""
    return f"{row.name:<10} {shown}{mark}{row.words}"


def split_lines(split: Split, width: int) -> list[str]:
    """Return where the time of an epoch goes: a line a part, with a bar as long as its share."""
    parts = split.shares()
    lines = [f"{name:<10} {bar(part, width)} {100 * part:>3.0f} %  {_seconds(value)}" for name, value, part in parts]
    return lines or ["no step has been told yet"]


def split_of(epoch_steps: float | None, latest: dict[str, float]) -> Split:
    """Return the split of an epoch, from the means of its last steps and its last validation.

    Parameters
    ----------
    epoch_steps
        Steps of an epoch; None where that is not known: the split is then that of one step, without validation.
    latest
        Newest means of ``perf/data_ms``, ``perf/compute_ms``, and ``val/seconds``.
    """
    steps = epoch_steps if epoch_steps is not None and epoch_steps > 0 else 1.0
    data_ms, compute_ms = latest.get("perf/data_ms"), latest.get("perf/compute_ms")
    return Split(
        None if data_ms is None else steps * data_ms / 1000,
        None if compute_ms is None else steps * compute_ms / 1000,
        latest.get("val/seconds") if epoch_steps else None,
    )


def wait_words(latest: dict[str, float]) -> str:
    """Return in a sentence whether the loader holds the training up; empty: that is not known."""
    wait = latest.get("perf/data_wait")
    if wait is None or not math.isfinite(wait):
        return ""
    share = f"{100 * wait:.0f} % of each step waits for data"
    if wait < WAIT_SHARE:
        return f"{sign('ok')} {share}"
    return f"{sign('warning')} {share}: more workers or a larger cache_gb would be faster"


def percent(share: float | None) -> str:
    """Return a share as ``98 %``, or ``-``."""
    return _UNKNOWN if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def step_lines(latest: dict[str, float]) -> list[str]:
    """Return the speed of the last steps."""
    rate, step, data = (latest.get(f"perf/{name}") for name in ("samples_per_s", "step_ms", "data_ms"))
    lines = [] if rate is None else [f"{'patches/s':<10} {rate:.3g}"]
    if step is not None:
        waits = "" if data is None else f", {data:.3g} ms for data"
        lines.append(f"{'a step':<10} {step:.3g} ms{waits}")
    return lines


def _meter(share: float | None) -> str:
    return "" if share is None else bar(min(1.0, max(0.0, share)), 12)


def _heat_look(row: GpuRow) -> str:
    return row.level if "hot" in row.note else ""


def _note_words(row: GpuRow) -> str:
    mark = f"{sign('warning' if row.level == 'warn' else 'error')} " if row.level else ""
    return f"{mark}{row.note}" if row.note else ""


def _sound_part(row: Any) -> Any:
    changes: dict[str, Any] = {}
    for item in fields(row):
        value = getattr(row, item.name)
        if item.name in {"gpus", "throttle"}:
            continue
        kind = str(item.type)
        if kind == "str":
            changes[item.name] = value if isinstance(value, str) else ""
        elif "int" in kind or "float" in kind:
            changes[item.name] = value if _is_number(value) else 0 if "None" not in kind else None
    return replace(row, **changes)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _gpu_row(index: int, facts: GpuFacts | None, told: GpuReading | None) -> GpuRow:
    kind = "mig" if facts is not None and facts.kind == "mig" else "gpu"
    name = text.printable(facts.name) if facts is not None else _UNKNOWN
    if told is None or told.is_lost:
        note = "the driver has lost it" if told is not None else "nothing read yet"
        level = "bad" if told is not None else ""
        return GpuRow(f"{kind}{index}", name, None, None, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, note, level)
    total = facts.memory_bytes if facts is not None else None
    used = told.memory_used_bytes
    note, level = _gpu_note(facts, told, None if used is None or not total else used / total)
    return GpuRow(
        number=f"{kind}{index}",
        name=name,
        load=told.utilisation,
        memory=None if used is None or not total else used / total,
        memory_words=_of(used, total),
        power=_pair(told.power_w, None if facts is None else facts.power_limit_w, "W"),
        temperature=_UNKNOWN if told.temperature_c is None else f"{told.temperature_c:.0f} °C",
        clocks=_pair(told.sm_clock_mhz, told.memory_clock_mhz, "MHz"),
        note=note,
        level=level,
    )


def _gpu_note(facts: GpuFacts | None, told: GpuReading, memory: float | None) -> tuple[str, str]:
    notes, level = [], ""
    if told.throttle:
        notes.append(f"clocks held: {', '.join(map(text.printable, told.throttle))}")
        level = "" if set(told.throttle) <= _WARNINGS else "warn"
    if told.temperature_c is not None and told.temperature_c >= HOT_C:
        notes.append("hot")
        level = "warn"
    if memory is not None and memory >= FULL_SHARE:
        notes.append("memory nearly full")
        level = "warn"
    if facts is not None and facts.kind == "mig":
        notes.append("part of a GPU; heat is the whole's")
    return "; ".join(notes), level


def _cpu_rows(machine: Machine | None, reading: Reading) -> list[HostRow]:
    rows = []
    if reading.cpu is not None:
        processors = "" if machine is None or machine.processors is None else f" of {machine.processors}"
        rows.append(HostRow("CPU", f"{percent(reading.cpu)}{processors}", reading.cpu))
    if reading.process_cpu is not None:
        threads = f", {text.counted(reading.threads, 'thread')}" if reading.threads is not None else ""
        rows.append(HostRow("job", f"{reading.process_cpu:.1f} CPUs{threads}"))
    return rows


def _memory_rows(machine: Machine | None, reading: Reading) -> list[HostRow]:
    total = None if machine is None else machine.memory_bytes
    rows = []
    if reading.memory_used_bytes is not None:
        rows.append(_filled("RAM", reading.memory_used_bytes, total))
    if reading.process_bytes is not None:
        mapped = reading.process_mapped_bytes
        cached = f" + {text.size(mapped)} of files" if mapped else ""
        rows.append(HostRow("job holds", f"{text.size(reading.process_bytes)}{cached}"))
    if reading.swap_used_bytes:
        swap = _of(reading.swap_used_bytes, None if machine is None else machine.swap_bytes)
        rows.append(HostRow("swap", f"{swap} in use", level="warn"))
    return rows


def _container_rows(machine: Machine | None, reading: Reading) -> list[HostRow]:
    limit = None if machine is None else machine.container_limit_bytes
    rows = []
    if limit is not None and reading.container_used_bytes is not None:
        row = _filled("container", reading.container_used_bytes, limit)
        rows.append(row)
    elif machine is not None and limit is None:
        rows.append(HostRow("container", "no memory limit"))
    if reading.oom_kills:
        killed = "1 process" if reading.oom_kills == 1 else f"{text.count(reading.oom_kills)} processes"
        rows.append(HostRow("OOM killed", killed, level="bad"))
    return rows


def _filled(name: str, used: int, total: int | None) -> HostRow:
    share = used / total if total else None
    level = "" if share is None or share < TIGHT_SHARE else "bad" if share >= FULL_SHARE else "warn"
    return HostRow(name, _of(used, total), share, level)


def _of(used: int | None, total: int | None) -> str:
    if used is None:
        return _UNKNOWN if total is None else f"- / {text.size(total)}"
    return text.size(used) if total is None else f"{text.size(used)} / {text.size(total)}"


def _pair(first: float | None, second: float | None, unit: str) -> str:
    if first is None and second is None:
        return _UNKNOWN
    words = [_UNKNOWN if value is None else text.count(round(value)) for value in (first, second)]
    return f"{words[0]} {unit}" if second is None else f"{words[0]} / {words[1]} {unit}"


def _rate(bytes_s: float | None) -> str:
    return _UNKNOWN if bytes_s is None else f"{text.size(bytes_s)}/s"


def _seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 60 else text.duration(value)
