"""Rules about the machine: waiting for data, memory and disk that fill up, GPUs that are idle or held down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.monitor import thresholds as at
from cellmap_tui.monitor.finding import Finding, Level
from cellmap_tui.monitor.trend import full_at
from cellmap_tui.monitor.windows import Known, latest, median, recent
from cellmap_tui.monitor.words import moment_words, span_words
from cellmap_tui.text import counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.monitor.told import Told
    from cellmap_tui.services.telemetry_model import GpuReading, Machine

_MEMORY = "smaller cache_gb, fewer workers, a smaller batch_size, or more memory for the job"


def loader_bound(told: Told) -> Finding | None:
    """Find steps that mostly wait for data."""
    waits = recent(told.latest("perf/data_wait"))
    share = median(waits.value) if len(waits.value) >= at.RECENT_POINTS else None
    if share is None or share < at.WAIT_SHARE:
        return None
    data_ms, step_ms = (median(recent(told.latest(f"perf/{name}")).value) for name in ("data_ms", "step_ms"))
    times = f", {data_ms:.0f} of {step_ms:.0f} ms" if data_ms is not None and step_ms is not None else ""
    level: Level = "warn" if share >= at.WAIT_BAD or _gpus(told) else "info"
    return Finding(
        level,
        "loader",
        "training waits for its data",
        f"{100 * share:.0f} % of a step{times}, in the last {span_words(at.RECENT_S)}",
        _loader_setting(told),
    )


def disk_full(told: Told) -> Finding | None:
    """Find a disk that is full, or will be before the training ends."""
    free = _readings(told, "disk_free_bytes")
    if not len(free.value) or not told.is_live:
        return None
    now_s, left = float(free.time_s[-1]), float(free.value[-1])
    setting = "make room, or keep fewer checkpoints (keep_checkpoints); what is written stays whole"
    end_s = full_at(free, limit=0.0)
    if left < at.DISK_FEW_BYTES:
        level: Level = "error" if left < at.DISK_NONE_BYTES else "warn"
        at_words = f", full at {moment_words(end_s, now_s)}" if end_s is not None else ""
        return Finding(level, "disk_full", f"the run's disk is nearly full{at_words}", f"{size(left)} free", setting)
    return _fills_up("disk_full", "the run's disk will be full", end_s, now_s, f"{size(left)} free", setting)


def memory_full(told: Told) -> Finding | None:
    """Find memory, of the container where it has a limit, that is full or will be."""
    machine = _machine(told)
    if machine is None or not told.is_live:
        return None
    limit = machine.container_limit_bytes
    used = _readings(told, "container_used_bytes") if limit else _readings(told, "memory_used_bytes")
    most = limit or machine.memory_bytes
    if not most or not len(used.value):
        return None
    what = "the container's memory" if limit else "the machine's memory"
    now_s, share = float(used.time_s[-1]), float(used.value[-1]) / most
    evidence = f"{size(float(used.value[-1]))} of {size(most)} used{_held(told)}"
    end_s = full_at(used, limit=float(most))
    if share >= at.MEMORY_SHARE:
        at_words = f", at its limit at {moment_words(end_s, now_s)}" if end_s is not None else ""
        return Finding("error", "memory_full", f"{what} is nearly full{at_words}", evidence, _MEMORY)
    return _fills_up("memory_full", f"{what} will be full", end_s, now_s, evidence, _MEMORY)


def killed_for_memory(told: Told) -> Finding | None:
    """Find processes of this container that the system killed while the run was watched."""
    kills = _readings(told, "oom_kills")
    more = int(kills.value[-1] - kills.value[0]) if len(kills.value) > 1 else 0
    if more <= 0:
        return None
    last = int(np.argmax(kills.value >= kills.value[-1]))
    at_words = moment_words(float(kills.time_s[last]), float(kills.time_s[-1]))
    sentence = "the system killed processes for want of memory"
    return Finding("error", "memory_kill", sentence, f"{counted(more, 'kill')}, the last at {at_words}", _MEMORY)


def idle_gpus(told: Told) -> Finding | None:
    """Find GPUs without work while the network trains; those that wait for data are the loader's matter."""
    if not told.is_live or not _is_stepping(told):
        return None
    gpus = _gpus(told)
    use = {gpu.index: _utilisation(told, gpu) for gpu in gpus}
    idle = {index: share for index, share in use.items() if share is not None and share < at.IDLE_UTILISATION}
    waits = recent(told.latest("perf/data_wait"))
    if not idle or (median(waits.value) or 0.0) >= at.WAIT_SHARE:
        return None
    which = "GPU " + ", ".join(map(str, idle)) if len(gpus) > 1 else "the GPU"
    evidence = ", ".join(f"GPU {index} {100 * share:.0f} %" for index, share in idle.items())
    evidence += f" in the last {span_words(at.RECENT_S)}"
    if str(told.setting("device") or "").startswith("cpu"):
        return Finding("warn", "gpu_idle", f"{which} is idle: training runs on the CPU", evidence, "device = cuda")
    if len(idle) < len(gpus):
        setting = "devices uses several; CUDA_VISIBLE_DEVICES leaves the others to somebody else"
        return Finding("info", "gpu_idle", f"{which} {'is' if len(idle) == 1 else 'are'} idle", evidence, setting)
    setting = "a larger batch_size or patch; compile = true; fewer validations (val_every)"
    return Finding("warn", "gpu_idle", f"{which} {'is' if len(idle) == 1 else 'are'} mostly idle", evidence, setting)


def lost_gpus(told: Told) -> Iterator[Finding]:
    """Find GPUs that the driver has lost; of a run that ended with it too, for that is why it ended."""
    for gpu in _gpus(told):
        if gpu.is_lost:
            setting = "start again on another GPU; somebody has to look at the machine (nvidia-smi, dmesg)"
            yield Finding("error", "gpu_lost", f"GPU {gpu.index} is lost", _last_known(told, gpu), setting)


def throttled(told: Told) -> Iterator[Finding]:
    """Find GPUs whose clocks are held down."""
    for gpu in _gpus(told) if told.is_live else ():
        clocks = recent(_gpu_readings(told, gpu, "sm_clock_mhz"), skip=0).value
        if not gpu.throttle or len(clocks) < at.RECENT_POINTS:
            continue
        highest = float(np.max(_gpu_readings(told, gpu, "sm_clock_mhz").value))
        now = float(np.median(clocks))
        if now >= at.THROTTLE_CLOCK * highest:
            continue
        evidence = f"{now:.0f} MHz in the last {span_words(at.RECENT_S)}, {highest:.0f} at best"
        if gpu.temperature_c is not None:
            evidence += f"; {gpu.temperature_c:.0f} °C"
        why = ", ".join(gpu.throttle)
        is_hot = any("heat" in word or "brake" in word or "hardware" in word for word in gpu.throttle)
        setting = "cooling or power of the machine; no setting of the training" if is_hot else ""
        sentence = f"GPU {gpu.index} is held down: {why}"
        yield Finding("warn" if is_hot else "info", "gpu_throttled", sentence, evidence, setting)


def _fills_up(
    rule: str, words: str, end_s: float | None, now_s: float, evidence: str, setting: str
) -> Finding | None:
    left_s = None if end_s is None else end_s - now_s
    if end_s is None or left_s is None or left_s > at.FULL_SOON_S:
        return None
    level: Level = "error" if left_s < at.FULL_NOW_S else "warn"
    sentence = f"{words} at {moment_words(end_s, now_s)}, in {span_words(left_s)}"
    return Finding(level, rule, sentence, evidence, setting)


def _loader_setting(told: Told) -> str:
    machine, reading = _machine(told), None if told.telemetry is None else told.telemetry.latest
    cores = None if machine is None else machine.processors
    busy = None if reading is None else reading.cpu
    if busy is not None and cores and busy >= at.BUSY_CORES:
        return f"all {cores} processors are busy: cheaper augmentation (elastic, rotate), or more processors"
    workers = told.setting("workers")
    now = f" (now {workers})" if workers is not None else ""
    return f"more workers{now}, a larger cache_gb, data on a faster disk"


def _held(told: Told) -> str:
    reading = None if told.telemetry is None else told.telemetry.latest
    held = None if reading is None else reading.process_bytes
    return "" if held is None else f", {size(held)} by the job"


def _machine(told: Told) -> Machine | None:
    return None if told.telemetry is None else told.telemetry.machine


def _gpus(told: Told) -> tuple[GpuReading, ...]:
    reading = None if told.telemetry is None else told.telemetry.latest
    return () if reading is None else reading.gpus


def _readings(told: Told, name: str) -> Known:
    return latest(None if told.telemetry is None else told.telemetry.points(name))


def _gpu_readings(told: Told, gpu: GpuReading, name: str) -> Known:
    return _readings(told, f"gpu{gpu.index}/{name}")


def _utilisation(told: Told, gpu: GpuReading) -> float | None:
    values = recent(_gpu_readings(told, gpu, "utilisation"), skip=at.SETTLE_POINTS).value
    return median(values) if len(values) >= at.RECENT_POINTS else None


def _last_known(told: Told, gpu: GpuReading) -> str:
    """Return since when a GPU does not answer, and what it told last."""
    evidence = "the driver does not answer"
    reading = None if told.telemetry is None else told.telemetry.latest
    memory, warmth = (_gpu_readings(told, gpu, name) for name in ("memory_used_bytes", "temperature_c"))
    seen = max((float(known.time_s[-1]) for known in (memory, warmth) if len(known.time_s)), default=None)
    if seen is None or reading is None:
        return evidence
    evidence += f" since {moment_words(seen, reading.time_s)}"
    if len(memory.value):
        evidence += f"; {size(float(memory.value[-1]))} in use before"
    return evidence + (f", {warmth.value[-1]:.0f} °C" if len(warmth.value) else "")


def _is_stepping(told: Told) -> bool:
    """Return whether steps were done while the last readings were taken."""
    reading = None if told.telemetry is None else told.telemetry.latest
    steps = told.latest(told.loss)
    return reading is not None and len(steps.value) > 0 and reading.time_s - float(steps.time_s[-1]) < at.STEPPING_S
