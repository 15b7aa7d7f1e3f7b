"""A prediction in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.text import count, duration, size, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.services.predict_model import PredictedCrop, PredictResult

_STATES = {
    "planned": "to predict",
    "written": "written",
    "kept": "there already",
    "missing": "EM missing",
    "failed": "failed",
    "nothing": "nothing to predict",
}


def result_lines(result: PredictResult) -> Iterator[str]:
    """Yield a result line by line."""
    yield from result.networks
    for crop in result.crops:
        yield crop_line(crop)
    if result.dry_run:
        eta = "" if result.eta_s is None else f", about {duration(result.eta_s)}"
        what = f"{count(result.tiles)} tiles on {result.device}{eta}"
        yield f"{what}; up to {size(result.needed_bytes)} in {result.output}"
        return
    yield (
        f"{count(result.tiles)} tiles in {duration(result.seconds)} on {result.device}; "
        f"{size(result.size_bytes)} in {result.output}"
    )


def crop_line(crop: PredictedCrop) -> str:
    """Return a crop in a line."""
    state = _STATES[crop.state]
    if crop.reason:
        reason = crop.reason.removeprefix(f"{crop.crop}: ").replace("the EM is not on disk: ", "nothing at ", 1)
        return f"{crop.crop}: {state}: {reason}"
    stored = crop.size_bytes if crop.stored_bytes is None else crop.stored_bytes
    what = f"{len(crop.classes)} classes, {triple(crop.shape)} at {voxel(crop.voxel_size_nm)} nm, {size(stored)}"
    return f"{crop.crop}: {state}: {what}"
