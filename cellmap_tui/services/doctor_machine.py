"""The machine itself: Python and packages, memory, processors, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.doctor_model import Check, DoctorRequest, note, ok, problem
from cellmap_tui.text import size
from cellmap_tui.version import __version__

if TYPE_CHECKING:
    from cellmap_tui.services.doctor_probes import Probes

OLDEST_PYTHON = (3, 11)
NEEDED = ("textual", "zarr", "numpy", "msgspec", "scikit-image", "tifffile", "h5py", "boto3", "pandas", "psutil")
SHOWN = ("textual", "zarr", "numpy")
LITTLE_MEMORY_BYTES = 8_000_000_000
FEW_FILES = 1024
NO_LIMIT_BYTES = 2**60
"""Control groups of version 1 say "no limit" as a number near 2**63."""


def python(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the interpreter and at our own packages."""
    version = ".".join(str(part) for part in probes.python)
    value = f"{version} on {probes.system} {probes.machine}, {probes.python_path}"
    if probes.python < OLDEST_PYTHON:
        oldest = ".".join(str(part) for part in OLDEST_PYTHON)
        interpreter = problem("Python", value, f"install Python {oldest} or newer, and this tool into it")
    else:
        interpreter = ok("Python", value)
    return [interpreter, _packages(probes)]


def _packages(probes: Probes) -> Check:
    versions = {name: probes.version(name) for name in NEEDED}
    missing = [name for name, version in versions.items() if version is None]
    value = ", ".join([__version__, *(f"{name} {versions[name]}" for name in SHOWN if versions[name])])
    if missing:
        return problem(
            "cellmap-tui", f"{value}; not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    return ok("cellmap-tui", value)


def memory(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the memory, and at what limits it."""
    found = probes.memory()
    limits = {"container limit": group_memory_bytes(probes), "address space limit": probes.address_space_bytes()}
    parts = [size(found.total_bytes), f"{size(found.available_bytes)} available"]
    parts += [f"{what} {size(limit)}" for what, limit in limits.items() if limit is not None]
    parts.append(f"swap {size(found.swap_bytes)}" if found.swap_bytes else "no swap")
    usable = min(found.total_bytes, *(limit for limit in limits.values() if limit is not None), NO_LIMIT_BYTES)
    value = ", ".join(parts)
    if usable < LITTLE_MEMORY_BYTES:
        return [note("memory", value, "browsing is fine; for training choose small patches and few workers")]
    return [ok("memory", value)]


def processors(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the processors, and at how many of them may be used."""
    count, allowed = probes.cpus()
    quota = group_processors(probes)
    value = f"{count}"
    if allowed < count:
        value += f", {allowed} allowed by affinity"
    if quota is not None and quota < count:
        value += f", container limit {quota:.3g}"
    usable = min(allowed, quota if quota is not None else allowed)
    if usable < count:
        return [note("processors", value, f"give training about {max(1, round(usable))} workers, not {count}")]
    return [ok("processors", value)]


def open_files(_request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at how many files may be open."""
    soft, hard = probes.open_files()
    value = "no limit" if soft is None else f"{soft} at a time"
    if soft is not None and soft < FEW_FILES:
        most = "unlimited" if hard is None else str(hard)
        return [note("open files", value, f"raise it before the app starts: ulimit -n {most}")]
    return [ok("open files", value)]


def group_memory_bytes(probes: Probes) -> int | None:
    """Return the memory limit of this process's control groups, None without one."""
    limits = [
        int(text)
        for text in (
            *_group_files(probes, "", "memory.max"),
            *_group_files(probes, "memory", "memory.limit_in_bytes"),
        )
        if text.isdecimal() and int(text) < NO_LIMIT_BYTES
    ]
    return min(limits, default=None)


def group_processors(probes: Probes) -> float | None:
    """Return how many processors the control groups allow, None without a limit."""
    shares = [_share(*text.split()[:2]) for text in _group_files(probes, "", "cpu.max") if len(text.split()) >= 2]
    quotas = _group_files(probes, "cpu", "cpu.cfs_quota_us")
    periods = _group_files(probes, "cpu", "cpu.cfs_period_us")
    shares += [_share(quota, period) for quota, period in zip(quotas, periods, strict=False)]
    return min((share for share in shares if share is not None), default=None)


def _share(quota: str, period: str) -> float | None:
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None  # "max", or -1
    return int(quota) / int(period)


def _group_files(probes: Probes, controller: str, file: str) -> list[str]:
    """Return a limit's file in every control group around this process, innermost first.

    Parameters
    ----------
    controller
        Name of a version 1 controller; empty for the one tree of version 2.
    """
    place = None
    for line in (probes.read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if (controller and controller in names.split(",")) or (not controller and number == "0" and not names):
            place = path
    if place is None:
        return []
    top = f"/sys/fs/cgroup/{controller}".rstrip("/")
    parts = [part for part in place.split("/") if part]
    folders = ["/".join([top, *parts[:length]]) for length in range(len(parts), -1, -1)]
    found = (probes.read(f"{folder}/{file}") for folder in folders)
    return [text.strip() for text in found if text is not None]
