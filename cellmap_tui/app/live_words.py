"""A live training in words: where it stands, what its machine does, its classes, and how long it will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from textual.content import Content

from cellmap_tui.app import run_words
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.text import count, cut_middle, duration, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.app.live_run import LiveRun
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.monitor.classes import ClassRow
    from cellmap_tui.monitor.finding import Finding
    from cellmap_tui.monitor.points import Points
    from cellmap_tui.monitor.source import Source
    from cellmap_tui.services.telemetry_model import Machine, Reading

SHORT_S, LONG_S = 60.0, 600.0
"""The speed is taken over the last minute and the last ten; where they differ, so does the time left."""
_UNEVEN = 0.1
_FOREIGN = {"tensorboard": "TensorBoard log", "csv": "CSV log"}
_LEVELS = {"error": "error", "warn": "warning", "info": "ok"}
_NAME_CELLS = 28
NO_WORD = "died without a word: killed from outside, or a crash below Python; r goes on"
_HOST, _SHORT_HOST = 20, 12


def source_name(source: Source, cells: int = _NAME_CELLS) -> str:
    """Return the name of a source, short and safe to show."""
    path, name = source.path, source.name
    if source.kind == "run":
        name = short_name(path.name)
    elif path.name == "tensorboard" and path.parent.name:
        name = f"{short_name(path.parent.name)} tb"  # every toolbox calls the folder itself so
    return cut_middle(printable(name), cells)


def short_name(run_id: str) -> str:
    """Return a run's name in 12 cells: the day it was begun, and the letters that tell it from others."""
    begun, _, rest = run_id.partition("-")
    if len(begun) == 16 and begun[:8].isdigit() and begun[8] == "T":
        return f"{begun[4:6]}-{begun[6:8]} {rest.rpartition('-')[2]}"
    return run_id


def status(
    live: LiveRun, run: RunSummary | None, now_s: float, here: str, *, short: bool, bell: bool = False
) -> Content:
    """Return the line that says where the run in hand stands.

    Parameters
    ----------
    run
        Where it stands; None: a log of another tool.
    now_s
        Unix seconds, for ages.
    here
        Name of this machine; a run on another one says so.
    short
        Whether there are 80 columns and not 100 or more.
    bell
        Whether the bell rings.
    """
    source = live.main
    on = _host_words(run, here, short=short)
    # What comes last falls off at the end of 80 columns: there the machine stands before all that can be long.
    parts = [_place(source, run, short=short), on if short else ""]
    if run is not None:
        parts.append(run_words.pausing_words(run))
    parts += [*_progress(source, run, short=short), part_words(run)]
    if run is not None and run.is_live and run.silent_s is not None:
        parts.append(f"beat {duration(run.silent_s)}" + ("" if short else " ago"))
    elif run is not None and run.ended_s is not None:
        parts.append(f"ended {run_words.clock_words(run.ended_s, now_s)}, {run_words.age_words(run, now_s)} long")
    if not short:
        parts.append(on)
    if run is not None and not short and run.is_live and run.pid is not None:
        parts.append(f"pid {run.pid}, goes on without this screen")
    if source.problem and not is_gone(source):
        parts.append(cut_middle(printable(source.problem), 60))
    if not source.at_end:
        parts.append(f"reading {size(source.series.bytes)}…")
    if bell:
        parts.append("bell")
    state = "unknown" if is_gone(source) else run.state if run is not None else "remote"
    shown = f" {source_name(source, 18 if short else _NAME_CELLS)}  " + "  ".join(part for part in parts if part)
    return Content.assemble((sign(state), colour(state)), shown)


def _host_words(run: RunSummary | None, here: str, *, short: bool) -> str:
    if run is None or not run.host or printable(run.host) == here:
        return ""
    name = printable(run.host)
    return f"on {cut_middle(name.partition('.')[0] or name, _SHORT_HOST) if short else cut_middle(name, _HOST)}"


def is_gone(source: Source) -> bool:
    """Return whether what was read is not there any more; what was told of it stays on screen."""
    return source.problem.endswith("gone")


def part_words(run: RunSummary | None) -> str:
    """Return what a training does between its steps, such as ``validation tiles 3/16``; empty: it learns."""
    if run is None or not run.is_live or not run_words.in_part(run) or run.done is None:
        return ""
    of = f"/{count(int(run.total))}" if run.total else ""
    return f"{printable(run.unit or '')} {count(int(run.done))}{of}"


def last_words(source: Source, run: RunSummary | None) -> str:
    """Return the last thing that was said; of a run that failed or died, why, and what to do about it."""
    if run is not None and run.state == "lost" and not run.remedy:
        return NO_WORD  # its last note is no reason
    if run is not None and run.state in {"failed", "lost"} and run.message:
        return printable("; ".join(part for part in (run.message, run.remedy) if part))
    last = source.events[-1:]
    return f"{run_words.clock_words(last[0].time_s)} {last[0].text}" if last else ""


def _place(source: Source, run: RunSummary | None, *, short: bool) -> str:
    if is_gone(source):
        return cut_middle(printable(source.problem), 60)
    if run is None:
        return _FOREIGN.get(source.kind, source.kind)
    if short:
        return "" if run.state == "running" else printable(run.state)
    said = {"quiet": "quiet: no sign of life", "lost": "lost: died without a word"}.get(run.state)
    return said or printable(run.state)


def _progress(source: Source, run: RunSummary | None, *, short: bool) -> list[str]:
    """Return step, epoch, speed and time left."""
    facts, step = source.facts, source.series.last_step
    if step is None or step < 0:
        return []
    planned = facts.planned_steps
    parts = [f"step {count(step)}" + (f"/{count(planned)}" if planned else "")]
    if facts.steps_per_epoch:
        epochs = f"/{count(facts.planned_epochs)}" if facts.planned_epochs and not short else ""
        parts.append(f"epoch {step / facts.steps_per_epoch:.1f}{epochs}")
    if run is not None and run.state == "running" and not part_words(run):
        speeds = step_rates(source.series.points("loss"), run.started_s)
        if speeds:
            parts.append(f"{speeds[-1]:.3g} it/s")
            if planned and planned > step:
                parts.append(eta_words(planned - step, speeds, short=short))
    return parts


def step_rates(points: Points, since_s: float | None = None) -> list[float]:
    """Return steps a second over the last ten minutes and the last one, since the job began; pauses count too."""
    found: list[float] = []
    if len(points) < 2:
        return found
    last_s, last_step = float(points.time_s[-1]), int(points.step[-1])
    begun = int(np.searchsorted(points.time_s, since_s or 0.0))
    if begun > len(points) - 2:
        return found
    for window_s in (LONG_S, SHORT_S):
        # From the last point before the window: two points just behind a validation are no speed.
        first = max(begun, int(np.searchsorted(points.time_s, last_s - window_s, side="right")) - 1)
        elapsed_s, steps = last_s - float(points.time_s[first]), last_step - int(points.step[first])
        if elapsed_s > 0 and steps > 0:
            found.append(steps / elapsed_s)
    return found


def eta_words(steps_left: int, speeds: Sequence[float], *, short: bool) -> str:
    """Return the time left, as a range where the speed was uneven."""
    likely = steps_left / speeds[0]
    fast, slow = steps_left / max(speeds), steps_left / min(speeds)
    if short or slow - fast < _UNEVEN * likely:
        return f"ETA {duration(likely)}"
    return f"ETA {duration(fast)} to {duration(slow)}"


def machine_line(machine: Machine | None, reading: Reading | None) -> str:
    """Return what the machine does, in one line; empty when nothing is known."""
    if reading is None:
        return ""
    parts = []
    for gpu in reading.gpus[:2]:
        facts = next((one for one in machine.gpus if one.index == gpu.index), None) if machine else None
        memory = size(gpu.memory_used_bytes) if gpu.memory_used_bytes is not None else "-"
        of = f"/{size(facts.memory_bytes)}" if facts and facts.memory_bytes else ""
        heat = f" {gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else ""
        lost = " lost" if gpu.is_lost else ""
        parts.append(f"gpu{gpu.index} {_percent(gpu.utilisation)} {memory}{of}{heat}{lost}")
    if len(reading.gpus) > 2:
        parts.append(f"+{len(reading.gpus) - 2} gpus")
    if not reading.gpus:
        parts.append("no gpu")
    if reading.process_cpu is not None:
        parts.append(f"cpu {100 * reading.process_cpu:.0f} %")
    if reading.process_bytes is not None:
        limit = (machine.container_limit_bytes or machine.memory_bytes) if machine else None
        parts.append(f"ram {size(reading.process_bytes)}" + (f"/{size(limit)}" if limit else ""))
    return "  ".join(parts)


def machine_lines(machine: Machine | None, reading: Reading | None, *, width: int) -> list[str]:
    """Return what the machine does, a line a thing."""
    if reading is None:
        return ["nothing is told of the machine"]
    lines = []
    for gpu in reading.gpus:
        facts = next((one for one in machine.gpus if one.index == gpu.index), None) if machine else None
        memory = size(gpu.memory_used_bytes) if gpu.memory_used_bytes is not None else "-"
        of = f"/{size(facts.memory_bytes)}" if facts and facts.memory_bytes else ""
        heat = f"  {gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else ""
        bar = run_words.bar(gpu.utilisation, max(4, width - 36))
        lines.append(f"gpu{gpu.index} {_percent(gpu.utilisation):>6} {bar} {memory}{of}{heat}")
        if gpu.power_w is not None:
            limit = f"/{facts.power_limit_w:.0f}" if facts and facts.power_limit_w else ""
            held = f"  held down: {printable(', '.join(gpu.throttle))}" if gpu.throttle else ""
            lines.append(f"power {gpu.power_w:.0f}{limit} W{held}")
    if not reading.gpus:
        lines.append(printable(machine.gpu_state) if machine and machine.gpu_state else "no GPU")
    processors = f" of {machine.processors}" if machine and machine.processors else ""
    if reading.process_cpu is not None:
        lines.append(f"cpu   {reading.process_cpu:.1f}{processors} processors")
    if reading.process_bytes is not None:
        most = (machine.container_limit_bytes or machine.memory_bytes) if machine else None
        lines.append(f"ram   {size(reading.process_bytes)}" + (f" of {size(most)}" if most else ""))
    if reading.disk_free_bytes is not None:
        lines.append(f"disk  {size(reading.disk_free_bytes)} free")
    return lines


def loader_words(source: Source) -> str:
    """Return how long the loop waits for patches, and how many it gets; empty: not told."""
    wait, rate = latest(source, "perf/data_wait"), latest(source, "perf/samples_per_s")
    parts = []
    if wait is not None:
        parts.append(f"loader wait {100 * wait:.0f} %")
    if rate is not None:
        parts.append(f"{rate:.3g} patches/s")
    return "  ".join(parts)


def latest(source: Source, name: str) -> float | None:
    """Return the newest value of a metric; None: never told, or no number."""
    points = source.series.points(name)
    if not len(points):
        return None
    value = float(points.mean[-1])
    return value if np.isfinite(value) else None


def best(source: Source, name: str = "val/dice") -> tuple[float, float] | None:
    """Return the best value of a metric and its step; None: never told."""
    points = source.series.points(name)
    known = np.isfinite(points.mean) if len(points) else np.zeros(0, bool)
    if not known.any():
        return None
    place = int(np.argmax(np.where(known, points.mean, -np.inf)))
    return float(points.mean[place]), float(points.step[place])


def class_lines(rows: Sequence[ClassRow], width: int, lines: int) -> list[str]:
    """Return classes with Dice and change, the worst first, in columns; a last word says how many are not shown."""
    cell = 26
    columns = max(1, width // cell)
    shown = [row for row in rows if row.dice is not None][: columns * lines]
    cells = [f"{cut_middle(printable(row.name), 11):<11} {row.dice:.3f} {delta_words(row.delta):>6}" for row in shown]
    hidden = len(rows) - len(shown)
    if hidden and len(cells) == columns * lines:
        cells[-1] = f"+{hidden + 1} more: K"
    height = -(-len(cells) // columns) if cells else 0
    table = [cells[row * columns : (row + 1) * columns] for row in range(height)]
    return ["  ".join(f"{one:<{cell - 2}}" for one in row).rstrip() for row in table]


def delta_words(delta: float | None) -> str:
    """Return a change: ``+0.02``, ``-0.01``; nothing where there is none to tell."""
    return "" if delta is None or not np.isfinite(delta) else f"{delta:+.2f}"


def finding_line(findings: Sequence[Finding]) -> Content:
    """Return the worst of what stands out, and how much more there is."""
    if not findings:
        return Content("")
    first = findings[0]
    level = _LEVELS[first.level]
    more = f"  (W: {len(findings) - 1} more)" if len(findings) > 1 else "  (W)"
    return Content.assemble((sign(level), colour(level)), f" {printable(first.line)}{more}")


def outcomes(watched: Iterable[LiveRun], runs: Sequence[RunSummary]) -> list[str]:
    """Return how the trainings that were looked at came out, a line each; one that goes on has no outcome yet."""
    known = {run.path: run for run in runs}
    lines = []
    for live in watched:
        live.poll()
        run = known.get(live.path, live.summary)
        if run is not None and not run.is_live:
            lines.append(outcome(live.main, run))
    return lines


def outcome(source: Source, run: RunSummary | None = None) -> str:
    """Return how a training came out, in one line for the shell."""
    run = run or source.facts.state
    top = best(source)
    parts = [f"{source_name(source)}: {printable(run.state) if run is not None else 'log'}"]
    if source.series.last_step is not None and source.series.last_step >= 0:
        parts.append(f"step {count(source.series.last_step)}")
    if top is not None:
        parts.append(f"best mean Dice {top[0]:.3f} at step {count(int(top[1]))}")
    if run is not None and run.started_s is not None and run.ended_s is not None:
        parts.append(f"{duration(run.ended_s - run.started_s)} long")
    if run is not None and run.state in {"failed", "lost"} and run.message:
        parts.append(printable(run.message))
    return ", ".join(parts)


def _percent(share: float | None) -> str:
    return "- %" if share is None else f"{100 * share:.0f} %"
