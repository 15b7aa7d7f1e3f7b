"""One frame of a training as plain text, for logs, mails and tests: what the live screen shows, once.

Works on own runs and on what other tools wrote (TensorBoard logs, CSV logs). Imported only where a frame is
drawn: numpy comes with it.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING

from cellmap_tui.app.charts import Line, frame_text
from cellmap_tui.cli import diagnostics
from cellmap_tui.errors import MissingDataError
from cellmap_tui.monitor.classes import class_table
from cellmap_tui.monitor.curves import curve
from cellmap_tui.monitor.diagnosis import diagnose
from cellmap_tui.monitor.metric_filter import parse_metric_filter
from cellmap_tui.monitor.words import span_words
from cellmap_tui.text import count, cut_middle, duration, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.monitor.finding import Finding
    from cellmap_tui.monitor.source import Source
    from cellmap_tui.services.telemetry_model import GpuReading, Machine

USUAL = ("loss", "val/loss", "validation")
LEAST_CHART, MOST_LINES = 7, 8
SHOWN_FINDINGS, SHOWN_WORDS = 4, 2
_SIGNS = {"error": ("✗", "x"), "warn": ("!", "!"), "info": ("·", "-")}
_CLASS_CELLS = 26
_RATE_S = 60.0
SAY_AFTER_S = 3.0
"""A log of 200,000 rows of ten metrics is read by then."""


def read_whole(source: Source) -> None:
    """Read a source to its end; says once that it does so where that takes long."""
    say_at_s: float | None = time.monotonic() + SAY_AFTER_S
    while source.poll() or not source.at_end:
        if source.problem and source.at_end:
            return
        if say_at_s is not None and time.monotonic() > say_at_s:
            say_at_s = None
            diagnostics.note(f"reading all of {source.name} …")


def frame(source: Source, metrics: str = "", *, log_y: bool = False) -> list[str]:
    """Return the frame, as wide and high as the terminal (``COLUMNS``, ``LINES``; 80 by 24 where there is none).

    Parameters
    ----------
    source
        A run or log, read to its end.
    metrics
        Filter of the metrics that are drawn; empty: the losses.
    log_y
        Whether y is logarithmic.

    Raises
    ------
    RequestError
        If the filter is not understood.
    MissingDataError
        If it leaves nothing to draw.
    """
    width, height = shutil.get_terminal_size((80, 24))
    width, height = max(40, min(width, 400)), max(12, min(height, 200))
    ascii = not _writes_braille()
    head = [_head(source)]
    below = [
        *_classes(source, width),
        *_machine(source, width),
        *_findings(source, width, ascii=ascii),
        *_words(source),
    ]
    chart = _chart(source, metrics, width, max(LEAST_CHART, height - len(head) - len(below) - 1), log_y, ascii=ascii)
    return [_cut(line, width) for line in (*head, *chart, *below)]


def document(source: Source) -> dict[str, object]:
    """Return the frame for programs: where it stands, the last value of each metric, classes, findings."""
    from cellmap_tui.services.models import to_builtins

    facts = source.facts
    return {
        "name": source.name,
        "path": str(source.path),
        "kind": source.kind,
        "problem": source.problem or None,
        "state": to_builtins(facts.state) if facts.state is not None else None,
        "planned_steps": facts.planned_steps,
        "planned_epochs": facts.planned_epochs,
        "metrics": {name: _last(source, name) for name in source.series.names()},
        "classes": to_builtins(class_table(source.series, classes=facts.classes)),
        "machine": to_builtins(source.telemetry.latest) if source.telemetry.latest is not None else None,
        "findings": to_builtins(diagnose(source.series, source.telemetry, facts)),
    }


def _head(source: Source) -> str:
    facts, series = source.facts, source.series
    state = facts.state
    step, epoch = series.last_step, _last_epoch(source)
    parts = [printable(source.name), state.state if state is not None else source.kind]
    if step is not None:
        of = f"/{count(facts.planned_steps)}" if facts.planned_steps else ""
        parts.append(f"step {count(step)}{of}")
    if epoch is not None:
        parts.append(f"epoch {epoch}" + (f"/{facts.planned_epochs}" if facts.planned_epochs else ""))
    if state is not None and state.is_live and (rate := _rate(source)):
        parts.append(f"{rate:.3g} steps/s")
        left = (facts.planned_steps or 0) - (step or 0)
        if left > 0:
            parts.append(f"ETA {span_words(left / rate)}")
    if state is not None and state.started_s is not None and state.ended_s is not None:
        parts.append(f"took {duration(state.ended_s - state.started_s)}")
    if source.problem:
        parts.append(printable(source.problem))
    return "  ".join(parts)


def _chart(source: Source, metrics: str, width: int, height: int, log_y: bool, *, ascii: bool) -> list[str]:
    names = _chosen(source, metrics)
    if not names:
        return ["nothing was measured yet"]
    curves = [curve(source.series.points(name), "step") for name in names]
    lines = [Line(line.x, line.y, number) for number, line in enumerate(curves)]
    planned = source.facts.planned_steps if source.facts.state is not None and source.facts.state.is_live else None
    return frame_text(
        lines,
        [printable(name) for name in names],
        width,
        height,
        planned_end=None if planned is None else float(planned),
        log_y=log_y,
        ascii=ascii,
    )


def _chosen(source: Source, metrics: str) -> list[str]:
    names = [name for name in source.series.names() if len(source.series.points(name))]
    if metrics:
        found = list(parse_metric_filter(metrics).chosen(names))
        if not found:
            known = ", ".join(printable(name) for name in names[:8]) or "none yet"
            raise MissingDataError(f"no metric of {source.name} fits {printable(metrics)!r}", f"there are: {known}")
        return found[:MOST_LINES]
    usual = [name for name in USUAL if name in names and not (name == "validation" and "val/loss" in names)]
    return usual or [name for name in names if "loss" in name.lower()][:MOST_LINES] or names[:1]


def _classes(source: Source, width: int) -> list[str]:
    rows = [row for row in class_table(source.series, classes=source.facts.classes) if row.is_validated]
    cells = []
    for row in rows:
        delta = "" if row.delta is None else f" {row.delta:+.2f}"
        value = "-" if row.dice is None else f"{row.dice:.2f}"
        cells.append(f"{cut_middle(printable(row.name), 14):14} {value:>4}{delta}")
    across = max(1, width // _CLASS_CELLS)
    most = 3 * across
    lines = ["".join(f"{cell:{_CLASS_CELLS}}" for cell in part) for part in _parts(cells[:most], across)]
    more = [f"and {len(rows) - most} classes that are better"] if len(rows) > most else []
    return [f"Dice by class, worst first{', change over 10 epochs' if cells else ''}", *lines, *more] if rows else []


def _machine(source: Source, width: int) -> list[str]:
    reading, machine = source.telemetry.latest, source.telemetry.machine
    if reading is None:
        return []
    parts = []
    if reading.cpu is not None:
        parts.append(f"cpu {100 * reading.cpu:.0f} %")
    limit = machine.container_limit_bytes if machine is not None else None
    if limit and reading.container_used_bytes is not None:
        parts.append(f"container {size(reading.container_used_bytes)} of {size(limit)}")
    elif reading.memory_used_bytes is not None and machine is not None and machine.memory_bytes:
        parts.append(f"memory {size(reading.memory_used_bytes)} of {size(machine.memory_bytes)}")
    if reading.disk_free_bytes is not None:
        parts.append(f"disk {size(reading.disk_free_bytes)} free")
    wait = _last(source, "perf/data_wait")
    if wait is not None:
        parts.append(f"waits for data {100 * wait:.0f} %")
    gpus = [_gpu(gpu, machine) for gpu in reading.gpus]
    if not gpus and machine is not None and machine.gpu_state not in {"", "ok"}:
        parts.append(printable(machine.gpu_state))
    return [*gpus, *_wrapped(parts, width)]


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Return parts on as few lines as hold them whole."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f"   {part}"
        else:
            lines.append(part)
    return lines


def _gpu(gpu: GpuReading, machine: Machine | None) -> str:
    facts = next((one for one in (machine.gpus if machine is not None else ()) if one.index == gpu.index), None)
    if gpu.is_lost:
        return f"gpu{gpu.index} lost"
    parts = [f"gpu{gpu.index}", "-" if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"]
    if gpu.memory_used_bytes is not None:
        of = f" of {size(facts.memory_bytes)}" if facts is not None and facts.memory_bytes else ""
        parts.append(f"{size(gpu.memory_used_bytes)}{of}")
    parts += [
        f"{value:.0f} {unit}" for value, unit in ((gpu.power_w, "W"), (gpu.temperature_c, "°C")) if value is not None
    ]
    return "  ".join([*parts, *(printable(word) for word in gpu.throttle)])


def _findings(source: Source, width: int, *, ascii: bool) -> list[str]:
    found = diagnose(source.series, source.telemetry, source.facts)
    lines = [line for finding in found[:SHOWN_FINDINGS] for line in _finding(finding, width, ascii=ascii)]
    return [*lines, f"and {len(found) - SHOWN_FINDINGS} more findings"] if len(found) > SHOWN_FINDINGS else lines


def _finding(finding: Finding, width: int, *, ascii: bool) -> list[str]:
    sign = _SIGNS[finding.level][ascii]
    return textwrap.wrap(
        printable(finding.line), width, initial_indent=f"{sign} ", subsequent_indent="  ", break_on_hyphens=False
    )


def _words(source: Source) -> list[str]:
    said = [line for line in source.events if line.kind not in {"artefact", "result"}][-SHOWN_WORDS:]
    return [f"{_clock(line.time_s)}{printable(line.text)}" for line in said]


def _clock(time_s: float | None) -> str:
    return "" if time_s is None else time.strftime("%H:%M:%S  ", time.localtime(time_s))


def _rate(source: Source) -> float | None:
    """Return steps a second over the last minute of what was told."""
    points = source.series.points(_chosen(source, "")[0]) if _chosen(source, "") else None
    if points is None or len(points) < 2:
        return None
    first = int((points.time_s >= points.time_s[-1] - _RATE_S).argmax())
    took_s = float(points.time_s[-1] - points.time_s[first])
    return float(points.step[-1] - points.step[first]) / took_s if took_s > 0 else None


def _last_epoch(source: Source) -> int | None:
    names = _chosen(source, "")
    points = source.series.points(names[0]) if names else None
    epoch = float(points.epoch[-1]) if points is not None and len(points) else float("nan")
    return int(epoch) if epoch == epoch else None


def _last(source: Source, name: str) -> float | None:
    points = source.series.points(name)
    value = float(points.mean[-1]) if len(points) else float("nan")
    return value if value == value else None


def _parts(cells: Sequence[str], across: int) -> Iterable[Sequence[str]]:
    return (cells[start : start + across] for start in range(0, len(cells), across))


def _cut(line: str, width: int) -> str:
    return line.rstrip() if len(line) <= width else line[: width - 1].rstrip() + ("…" if _writes_braille() else "~")


def _writes_braille() -> bool:
    encoding = sys.stdout.encoding or "ascii"
    try:
        "⣿°…".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
