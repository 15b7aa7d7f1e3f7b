"""Which GPU is planned for: its memory, and how fast it can be expected to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.text import number

if TYPE_CHECKING:
    from cellmap_tui.services.doctor_probes import Probes

ASSUMED_GB = 24.0
"""Planned for where nobody says and no GPU is seen: a good card of a workstation."""
_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
_TIMEOUT_S = 10.0
_PEAK_TFLOPS = {
    "H200": 790, "H100": 790, "GH200": 790, "B200": 1800, "A100": 312, "L40": 181, "L4": 121, "A40": 150, "A10": 125,
    "A6000": 155, "6000 ADA": 181, "RTX 5090": 210, "RTX 4090": 165, "RTX 3090": 71, "V100": 112, "T4": 65,
}  # fmt: skip
"""Dense half-precision peak, from the makers' data sheets; 790 is what an H100 reaches at its sustained clock."""
_PEAK_BY_MEMORY = ((70.0, 312.0), (38.0, 312.0), (20.0, 71.0), (0.0, 40.0))
"""Peak of the slowest usual card with at least so many GB, where its name is not known."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    words: str
    """For people."""
    memory_gb: float
    """Its memory, in powers of 1000."""
    is_assumed: bool
    """Whether nobody said and none was seen."""
    peak_tflops: float
    """Half-precision peak."""


def planned_gpu(memory_gb: float | None, probes: Probes | None = None) -> Gpu:
    """Return the GPU to plan for: what was asked for, else the smallest of this machine, else one assumed."""
    if memory_gb is not None:
        return Gpu(f"a GPU with {number(memory_gb)} GB", memory_gb, False, _peak_of(memory_gb))
    seen = _seen(probes)
    if seen:
        name, gigabytes = min(seen, key=lambda card: card[1])
        peaks = [peak for known, peak in _PEAK_TFLOPS.items() if known in name.upper()]
        return Gpu(
            f"{name} with {gigabytes:.0f} GB", gigabytes, False, float(max(peaks, default=0)) or _peak_of(gigabytes)
        )
    return Gpu(f"a GPU with {number(ASSUMED_GB)} GB", ASSUMED_GB, True, _peak_of(ASSUMED_GB))


def _peak_of(memory_gb: float) -> float:
    return next(peak for least, peak in _PEAK_BY_MEMORY if memory_gb >= least)


def _seen(probes: Probes | None) -> list[tuple[str, float]]:
    if probes is None:
        from cellmap_tui.services.doctor_probes import Probes

        probes = Probes()
    listed = probes.run(_QUERY, _TIMEOUT_S)
    if listed is None or listed.code != 0:
        return []
    cards = []
    for line in listed.out.splitlines():
        name, _, megabytes = line.rpartition(",")
        if megabytes.strip().isdecimal():
            cards.append((name.strip(), int(megabytes) * 2**20 / 1e9))
    return cards
