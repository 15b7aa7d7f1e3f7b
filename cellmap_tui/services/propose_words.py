"""What `plan` would do, in lines for people, without looking through labels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cellmap_tui.text import counted, duration, triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.propose_model import GroupProposal, ProposeRequest


def propose_lines(request: ProposeRequest) -> list[str]:
    """Return a line per group that would be proposed if objects were of the usual size.

    Raises
    ------
    CellmapError
        If the request cannot be done; says why.
    """
    from cellmap_tui.services.propose import plan_propose
    from cellmap_tui.services.report import SilentReporter

    result = plan_propose(dataclasses.replace(request, scan=False), SilentReporter())
    lines = [f"{result.crops_from}; {result.gpu}", *(_group(group) for group in result.groups)]
    if request.scan and request.data_root is not None:
        lines.append("labels on disk are looked through for their objects; scales may change with what is found")
    return [*lines, f"configurations are written to {request.output}"]


def _group(group: GroupProposal) -> str:
    targets = counted(len(group.targets), "target")
    size = f"{triple(group.patch)} voxels of {voxel(group.scale_nm)} nm"
    return f"{targets}, {counted(group.crops, 'crop')}: {size}, {group.network}, about {duration(group.hours * 3600)}"
