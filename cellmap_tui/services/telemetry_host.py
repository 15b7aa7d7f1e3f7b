"""What the machine around a job does: processors, memory, its container's limit, disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.doctor_machine import NO_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

CHILDREN_EVERY_S = 10.0  # finding them walks over all processes of the machine
_GROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """The control group whose memory limit is the tightest around this process."""

    folder: str
    """Where its files are."""
    is_second: bool
    """Whether they are those of version 2."""
    limit_bytes: int
    """What it allows."""


def memory_group(read: Callable[[str], str | None]) -> MemoryGroup | None:
    """Return the control group that limits memory most; None without a limit.

    Parameters
    ----------
    read
        Returns the text of a file, or None.
    """
    found = []
    for folder, is_second in _group_folders(read):
        text = (read(f"{folder}/{'memory.max' if is_second else 'memory.limit_in_bytes'}") or "").strip()
        if text.isdecimal() and int(text) < NO_LIMIT_BYTES:
            found.append(MemoryGroup(folder, is_second, int(text)))
    return min(found, key=lambda group: group.limit_bytes, default=None)


def group_usage(group: MemoryGroup, read: Callable[[str], str | None]) -> dict[str, int | None]:
    """Return the container's fields of a reading."""
    names = ("memory.current", "memory.peak", "memory.events", "inactive_file")
    if not group.is_second:
        names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", "total_inactive_file")
    current, peak, events, inactive = names
    used = _whole(read(f"{group.folder}/{current}"))
    cache = _of_table(read(f"{group.folder}/memory.stat"), inactive) or 0
    return {
        # The kernel drops what it has cached of files before it kills anybody.
        "container_used_bytes": None if used is None else max(used - cache, 0),
        "container_peak_bytes": _whole(read(f"{group.folder}/{peak}")),
        "oom_kills": _of_table(read(f"{group.folder}/{events}"), "oom_kill"),
    }


class HostProbe:
    """The machine around this process.

    Parameters
    ----------
    folder
        The run directory, whose disk is looked at.
    """

    def __init__(self, folder: Path) -> None:
        import psutil

        self._psutil: Any = psutil
        self._folder = folder
        self._process = psutil.Process()
        self._children: list[Any] = []
        self._children_s = float("-inf")
        self._before: tuple[float, float, tuple[int, int] | None] | None = None
        self.group = memory_group(_read)
        psutil.cpu_percent(None)  # counts from here on

    def facts(self) -> dict[str, int | None]:
        """Return the machine's fields of a `Machine`."""
        return {
            "processors": self._psutil.cpu_count(),
            "memory_bytes": int(self._psutil.virtual_memory().total),
            "swap_bytes": self._swap("total"),
            "container_limit_bytes": None if self.group is None else self.group.limit_bytes,
        }

    def read(self) -> dict[str, Any]:
        """Return the machine's fields of a `Reading`."""
        memory = self._psutil.virtual_memory()
        told: dict[str, Any] = {
            "cpu": self._psutil.cpu_percent(None) / 100,
            "memory_used_bytes": int(memory.total - memory.available),
            "memory_available_bytes": int(memory.available),
            "swap_used_bytes": self._swap("used"),
            "disk_free_bytes": _free_bytes(self._folder),
        }
        if self.group is not None:
            told |= group_usage(self.group, _read)
        return told | self._processes()

    def _swap(self, what: str) -> int | None:
        try:
            return int(getattr(self._psutil.swap_memory(), what))
        except (OSError, RuntimeError):  # some containers hide /proc/vmstat
            return None

    def _processes(self) -> dict[str, Any]:
        """Return what the job and its children use."""
        now_s = time.monotonic()
        if now_s - self._children_s >= CHILDREN_EVERY_S:
            self._children, self._children_s = (
                self._asked(lambda: self._process.children(recursive=True)) or [],
                now_s,
            )
        busy_s, own, mapped = 0.0, 0, 0
        moved: tuple[int, int] | None = None
        for process in (self._process, *self._children):
            times = self._asked(process.cpu_times)
            memory = self._asked(partial(_memory, process))
            if times is None or memory is None:
                continue  # it has ended
            busy_s += times.user + times.system
            own, mapped = own + memory[0], mapped + memory[1]
            counted = self._asked(partial(_counted, process))
            if counted is not None:
                read, written = moved or (0, 0)
                moved = (read + counted.read_bytes, written + counted.write_bytes)
        told: dict[str, Any] = {
            "process_bytes": own,
            "process_mapped_bytes": mapped,
            "threads": self._asked(self._process.num_threads),
        }
        return told | self._rates(now_s, busy_s, moved)

    def _rates(self, now_s: float, busy_s: float, moved: tuple[int, int] | None) -> dict[str, float | None]:
        before, self._before = self._before, (now_s, busy_s, moved)
        if before is None or now_s <= before[0]:
            return {}
        span_s = now_s - before[0]
        # A child that ended takes its counts along: then nothing is said.
        told: dict[str, float | None] = {"process_cpu": (busy_s - before[1]) / span_s}
        if moved is not None and before[2] is not None:
            told["read_bytes_s"] = (moved[0] - before[2][0]) / span_s
            told["write_bytes_s"] = (moved[1] - before[2][1]) / span_s
        return {name: value if value is not None and value >= 0 else None for name, value in told.items()}

    def _asked(self, question: Callable[[], Any]) -> Any:
        """Return an answer; None if the process has ended, or the system does not tell."""
        try:
            return question()
        except (self._psutil.Error, OSError, AttributeError, NotImplementedError):
            return None


def _memory(process: Any) -> tuple[int, int]:
    """Return the memory of a process that only it can free, and that of files it has mapped."""
    fields = _table(_read(f"/proc/{process.pid}/status"))
    own = [fields.get(name) for name in ("RssAnon", "RssShmem")]
    mapped = fields.get("RssFile")
    if own[0] is None or mapped is None:
        return int(process.memory_info().rss), 0
    return 1024 * sum(part or 0 for part in own), 1024 * mapped


def _counted(process: Any) -> Any:
    return process.io_counters()  # macOS has no such thing, and no attribute either


def _table(text: str | None) -> dict[str, int]:
    rows = (line.replace(":", " ").split() for line in (text or "").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdecimal()}


def _of_table(text: str | None, name: str) -> int | None:
    return _table(text).get(name)


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None


def _group_folders(read: Callable[[str], str | None]) -> list[tuple[str, bool]]:
    """Return the folders of this process's memory groups, innermost first, and whether they are of version 2."""
    folders: list[tuple[str, bool]] = []
    for line in (read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        is_second = number == "0" and not names
        if not is_second and "memory" not in names.split(","):
            continue
        top = _GROUPS if is_second else f"{_GROUPS}/memory"
        parts = [part for part in path.split("/") if part]
        folders += [("/".join([top, *parts[:length]]), is_second) for length in range(len(parts), -1, -1)]
    return folders


def _read(path: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(100_000)
    except OSError:
        return None


def _free_bytes(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return found.f_bavail * found.f_frsize
