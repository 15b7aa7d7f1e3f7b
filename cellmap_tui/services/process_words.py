"""What `process` and `tune` would do, in a few lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.text import count, counted, duration, number, printable, size

if TYPE_CHECKING:
    from cellmap_tui.services.process_model import ProcessRequest
    from cellmap_tui.services.tune_model import TuneRequest

MOST_SHOWN = 12
_WORDS = {"process": "·", "go-on": "goes on:", "kept": "= there already:", "other": "✗ made otherwise:"}


def process_lines(request: ProcessRequest) -> list[str]:
    """Return which volumes would be processed, by which steps, in how long.

    Raises
    ------
    CellmapError
        If it cannot be done.
    """
    if request.recipe is not None and request.recipe.suffix == ".py":
        return [f"the process_func of {request.recipe}, which is code and has to be trusted"]
    from cellmap_tui.services.process_plan import plan_process

    plan = plan_process(request)
    lines = [
        f"{_WORDS.get(volume.state, '✗')} {volume.crop} {volume.label}: {volume.words or volume.steps}"
        for volume in plan.volumes[:MOST_SHOWN]
    ]
    if len(plan.volumes) > MOST_SHOWN:
        lines.append(f"… and {count(len(plan.volumes) - MOST_SHOWN)} more")
    made = plan.count("process", "go-on")
    lines.append(f"{counted(made, 'volume')} of {count(plan.voxels)} voxels, about {duration(plan.eta_s)}")
    lines.append(
        f"at most {size(plan.scratch_bytes)} in between, about {size(plan.output_bytes)} of labels, "
        f"{size(plan.free_bytes)} free; memory {size(plan.memory_bytes)}"
    )
    if others := plan.count("other"):
        lines.append(f"! {counted(others, 'volume')} made otherwise: refused, unless replaced")
    if plan.scratch_bytes + plan.output_bytes > plan.free_bytes:
        lines.append("! may not fit on the disk: fewer crops, or another folder for the labels")
    return [*lines, *plan.notes]


def tune_lines(request: TuneRequest) -> list[str]:
    """Return what would be tried, on which crops, and where the recipe goes.

    Raises
    ------
    CellmapError
        If it cannot be done.
    """
    from cellmap_tui.services.process_recipe import Recipe, read_recipe
    from cellmap_tui.services.report import SilentReporter
    from cellmap_tui.services.tune_crops import tunable_classes

    recipe = read_recipe(request.recipe) if request.recipe is not None else Recipe()
    found = tunable_classes(request, recipe, SilentReporter())
    lines = []
    for one in found[:MOST_SHOWN]:
        halves = f"chosen on {counted(len(one.choose), 'crop')}, reported on {count(len(one.test))}"
        cores = ", with cores" if one.with_core else ""
        lines.append(f"· {one.label}: {one.kind}{cores}, {halves}{f'; {one.words}' if one.words else ''}")
    if len(found) > MOST_SHOWN:
        lines.append(f"… and {count(len(found) - MOST_SHOWN)} more")
    tried = f"thresholds {' '.join(map(number, request.thresholds))}, sizes {' '.join(map(count, request.sizes))}"
    return [*lines, printable(tried), f"by the rules {request.profile}; writes {request.output or 'recipe.toml'}"]
