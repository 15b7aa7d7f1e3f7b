"""Why a job died without a word: want of memory, as far as its log, its last readings and the system tell.

Nothing of this is certain where the system killed the process from outside, so numbers are told with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.jobs.rundir import resume_command
from cellmap_tui.text import size

if TYPE_CHECKING:
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.services.telemetry_model import Machine, Reading

LOG_TAIL_BYTES = 16 * 1024
FULL_SHARE = 0.9
"""Of a limit, one second before the end at worst: memory grows by gigabytes a second."""
FEW_BYTES = 500 * 10**6
"""Free memory of a machine at which processes begin to be killed, swap being full or none."""
REMEDY = (
    "give the job more memory, or take a smaller batch_size or patch, fewer workers, a smaller cache_gb; "
    "then go on from its last checkpoint with `{again}`"
)
_IN_LOG = re.compile(
    rb"std::bad_alloc|MemoryError|can't allocate memory|Cannot allocate memory|oom[-_ ]kill|Out of memory: Killed",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Death:
    """Why a job died."""

    message: str
    """What happened, with numbers."""
    remedy: str
    """What to do."""


def memory_death(run: RunDir) -> Death | None:
    """Return how a job that died without a word ran out of memory; None where nothing speaks for that."""
    from cellmap_tui.services.telemetry_model import NAME, Machine, Reading, last_rows

    rows = last_rows(run.path / NAME)
    readings = [row for row in rows if isinstance(row, Reading)]
    last = readings[-1] if readings else None
    machine = next((row for row in reversed(rows) if isinstance(row, Machine)), None)
    if last is not None and machine is None:
        machine = _machine(run)
    word = _word_in_log(run)
    cause = _cause(word, readings, machine)
    if cause is None:
        return None
    return Death(f"{cause}{_numbers(last, machine)}", REMEDY.format(again=resume_command(run)))


def _cause(word: str | None, readings: list[Reading], machine: Machine | None) -> str | None:
    if word is not None:
        return f"the job ran out of host memory ({word} in its log)"
    last = readings[-1] if readings else None
    if last is None:
        return None
    kills = [row.oom_kills for row in readings if row.oom_kills is not None]
    if len(kills) > 1 and kills[-1] > kills[0]:
        return "the system killed the job for want of memory"
    if _is_full(last, machine):
        return "the job was killed, most likely by the system for want of memory (signal 9)"
    return None


def _is_full(last: Reading, machine: Machine | None) -> bool:
    limit = machine.container_limit_bytes if machine is not None else None
    if limit and last.container_used_bytes is not None and last.container_used_bytes > FULL_SHARE * limit:
        return True
    return last.memory_available_bytes is not None and last.memory_available_bytes < FEW_BYTES


def _numbers(last: Reading | None, machine: Machine | None) -> str:
    if last is None:
        return ""
    told = []
    if last.process_bytes is not None:
        told.append(f"the job held {size(last.process_bytes)}")
    limit = machine.container_limit_bytes if machine is not None else None
    if limit is not None and last.container_used_bytes is not None:
        told.append(f"{size(last.container_used_bytes)} of the container's {size(limit)} were in use")
    elif last.memory_available_bytes is not None and machine is not None and machine.memory_bytes:
        told.append(f"{size(last.memory_available_bytes)} of {size(machine.memory_bytes)} were free")
    return f"; at its last reading {', '.join(told)}" if told else ""


def _machine(run: RunDir) -> Machine | None:
    from cellmap_tui.services.telemetry_model import NAME, last_machine

    return last_machine(run.path / NAME)


def _word_in_log(run: RunDir) -> str | None:
    """Return the words by which a log tells that memory ended; None: it does not."""
    try:
        with run.log_path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
            found = _IN_LOG.search(log.read())
    except OSError:
        return None
    return found[0].decode("ascii", "replace") if found else None
