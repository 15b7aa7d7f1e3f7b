"""How much memory a service may take: what the user allows, or what the machine and its container leave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError
from cellmap_tui.text import size

if TYPE_CHECKING:
    from cellmap_tui.services.doctor_probes import Probes

SHARE = 0.8
"""Part of the free memory that is planned with; the rest is for estimates that are too low."""
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """An amount of memory and where the figure comes from."""

    bytes: int
    """What all processes of the work together may take."""
    origin: str
    """In words: what decided it."""


def parse_size(text: str) -> int:
    """Read a size such as ``8G`` or ``512 MB``, written with k, M, G or T (powers of 1000).

    Raises
    ------
    RequestError
        If it is not a size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size_bytes = int(float(match[1]) * _FACTORS[match[2].lower()]) if match else 0
    if size_bytes <= 0:
        raise RequestError(f"{text!r} is not a size", "write for example 8G or 500M")
    return size_bytes


def memory_budget(asked_bytes: int | None, probes: Probes | None = None) -> MemoryBudget:
    """Return what may be used: as asked, else 80 % of what machine, container and limits leave free.

    Parameters
    ----------
    asked_bytes
        What the user allows; None: not said.
    probes
        What looks at the machine; tests bring their own.

    Raises
    ------
    RequestError
        If the user allows nothing.
    """
    if asked_bytes is not None:
        if asked_bytes <= 0:
            raise RequestError(f"a memory budget of {asked_bytes} bytes", "allow more, for example 8G")
        return MemoryBudget(asked_bytes, "as asked")
    from cellmap_tui.services.doctor_probes import Probes

    probes = probes or Probes()
    limits = {"free memory": probes.memory().available_bytes, **_group_room(probes)}
    address_space = probes.address_space_bytes()
    if address_space is not None:
        limits["address space limit"] = address_space
    origin = min(limits, key=lambda name: limits[name])
    return MemoryBudget(int(limits[origin] * SHARE), f"{SHARE:.0%} of the {origin}, {size(limits[origin])}")


def usable_processors(probes: Probes | None = None) -> int:
    """Return how many processors this process may use: affinity and container limit counted."""
    from cellmap_tui.services.doctor_machine import group_processors
    from cellmap_tui.services.doctor_probes import Probes

    probes = probes or Probes()
    _, allowed = probes.cpus()
    quota = group_processors(probes)
    return max(1, allowed if quota is None else min(allowed, round(quota)))


def _group_room(probes: Probes) -> dict[str, int]:
    """Return what the container's limit leaves; caches of files count as free, the kernel gives them back."""
    from cellmap_tui.services.doctor_machine import group_memory_bytes

    limit = group_memory_bytes(probes)
    if limit is None:
        return {}
    used = _first_number(probes, "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
    cached = _file_cache(probes)
    return {"container limit": max(limit - max(used - cached, 0), 0)}


def _first_number(probes: Probes, *paths: str) -> int:
    for path in paths:
        text = (probes.read(path) or "").strip()
        if text.isdecimal():
            return int(text)
    return 0


def _file_cache(probes: Probes) -> int:
    text = probes.read("/sys/fs/cgroup/memory.stat") or probes.read("/sys/fs/cgroup/memory/memory.stat") or ""
    fields = dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)
    value = fields.get("inactive_file", fields.get("total_inactive_file", "0")).strip()
    return int(value) if value.isdecimal() else 0
