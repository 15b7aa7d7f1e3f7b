"""What packing would do, in a few lines for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.text import count, printable, size

if TYPE_CHECKING:
    from cellmap_tui.services.pack_model import PackRequest

SHOWN = 5


def pack_lines(request: PackRequest) -> list[str]:
    """Return what packing would do; checks the request on the way.

    Raises
    ------
    CellmapError
        If it cannot be done; says why.
    """
    from cellmap_tui.services.pack_plan import plan_pack

    plan = plan_pack(request)
    cells = plan.coverage.cells
    states = Counter(cell.state for cell in cells)
    wrong = [cell for cell in cells if cell.state in ("unreadable", "outside", "wrong-shape")]
    return [
        f"{count(len(cells))} volumes: " + ", ".join(f"{count(n)} {state}" for state, n in states.most_common()),
        f"{count(plan.to_pack)} to pack, {count(plan.kept)} packed before, {count(plan.filled)} of them zeros; "
        f"{count(plan.left_out)} left out",
        f"{plan.output}: about {size(plan.unpacked_bytes)} at most, of {size(plan.free_bytes)} free",
        f"{count(plan.voxels)} voxels, {count(plan.workers)} volumes at once with {size(plan.memory_bytes)}",
        *(printable(f"! {cell.crop}/{cell.label}: {cell.words}") for cell in wrong[:SHOWN]),
        *(f"! {count(len(wrong) - SHOWN)} more volumes to look at" for _ in wrong[SHOWN : SHOWN + 1]),
        *(printable(f"! {words}") for words in plan.warnings),
    ]
