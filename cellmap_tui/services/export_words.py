"""The plan of an export in a few lines, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.text import count, printable, size, triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.export_model import ExportPlan, ExportRequest

_SHOWN = 5


def export_lines(request: ExportRequest) -> list[str]:
    """Return what an export would write; checks the request on the way.

    Raises
    ------
    CellmapError
        If the request cannot be done; says why.
    """
    from cellmap_tui.services.export_plan import plan_export

    return plan_words(plan_export(request))


def plan_words(plan: ExportPlan) -> list[str]:
    """Return the plan in lines."""
    kept = sum(file.state == "kept" for file in plan.files)
    crops = len({volume.crop for file in plan.files for volume in file.volumes})
    there = f", {count(kept)} there already" if kept else ""
    lines = [
        f"{plan.format} into {printable(str(plan.output))}",
        f"{_many(crops, 'crop')} in {_many(len(plan.files), 'file')}{there}: {count(plan.voxels)} voxels to write",
    ]
    for file in plan.files[:_SHOWN]:
        first = file.volumes[0]
        lines.append(f"{file.path}: {triple(first.shape)} at {voxel(first.voxel_size_nm)} nm")
    if len(plan.files) > _SHOWN:
        lines.append(f"and {count(len(plan.files) - _SHOWN)} more")
    lines.append(f"at most {size(plan.needed_bytes)} of {size(plan.free_bytes)} free")
    return [*lines, *plan.notes, *(f"! {words}" for words in (*plan.warnings, *plan.problems[:_SHOWN]))]


def _many(number: int, thing: str) -> str:
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"
