"""What a command would do, in a few lines for people, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.text import size, triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.demo import DemoRequest
    from cellmap_tui.services.import_data import ImportRequest


def plan_lines(command: str, request: object) -> list[str]:
    """Return what a request would do; checks the request on the way.

    Raises
    ------
    CellmapError
        If the request cannot be done; says why.
    """
    if command == "import":
        return _import_lines(request)  # type: ignore[arg-type]
    if command == "demo":
        return _demo_lines(request)  # type: ignore[arg-type]
    return []


def _import_lines(request: ImportRequest) -> list[str]:
    from cellmap_tui.services.import_data import plan_import

    plan = plan_import(request)
    arrays = [
        f"{array.name}: {array.kind}, {triple(array.shape)} at {voxel(array.voxel_size_nm)} nm, {array.levels} levels"
        for array in plan.arrays
    ]
    return [
        f"{plan.ref} below {plan.data_root}",
        *arrays,
        f"at most {size(plan.needed_bytes)} of {size(plan.free_bytes)} free",
        *plan.notes,
        *(f"! {words}" for words in plan.warnings),
    ]


def _demo_lines(request: DemoRequest) -> list[str]:
    small = request.size == "small"
    lasts = "about 80 M and a quarter of a minute" if small else "about 20 M and a few seconds"
    what = "the data" if request.make_only else "the data and a walk through what can be done with them"
    return [f"a synthetic cell in {request.root}", f"{what}: {lasts}", "what an earlier run has finished is kept"]
