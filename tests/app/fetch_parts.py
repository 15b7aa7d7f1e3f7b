"""Plans and events of fetches as the tests of the fetch screen need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.fetch_model import Amount, CropPlan, FetchPlan, LevelPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter

REFS = ("jrc_cos7-1a/crop234", "jrc_cos7-1a/crop236", "jrc_hela-2/crop155")
RUN_ID = "20251009T085200Z-fetch-data-000001"


def level(name: str, nm: float, *, fetched: bool, chunks: int = 8, here: int = 0) -> LevelPlan:
    """Return a level of a crop with labels of 8 nm."""
    words = f"voxels of {nm:g} nm, labels 8 nm"
    reason = f"{words}: no finer than 0.8 × the labels on any axis"
    if not fetched:
        reason = f"{words}: {nm / 8:g} × the labels on z, finer than 0.8 ×"
        return LevelPlan(name, (nm, nm, nm), False, reason)
    size = 120_000
    wanted, on_disk = Amount(chunks, chunks * size), Amount(here, here * size)
    return LevelPlan(name, (nm, nm, nm), True, reason, (96, 96, 96), chunks, 1, wanted, on_disk)


def crop_plan(ref: str, *, chunks: int = 8, here: int = 0, empty: tuple[str, ...] = ()) -> CropPlan:
    """Return the plan of a crop with two levels and some labels."""
    return CropPlan(
        ref=ref,
        split="train",
        labels=Amount(280, 3_400_000),
        labels_here=Amount(),
        label_classes=35,
        empty_classes=empty,
        missing_classes=(),
        levels=(
            level("s0", 4, fetched=False),
            level("s1", 8, fetched=True, chunks=chunks, here=here),
            level("s2", 16, fetched=True, chunks=4),
        ),
        metadata=Amount(12, 4_000),
    )


def plan_of(request: FetchRequest, **changes: object) -> FetchPlan:
    """Return a plan for the crops of a request; padding makes it larger."""
    crops = tuple(
        crop_plan(ref, chunks=8 + request.raw_padding, here=4 * (place == 0), empty=("mito_ribo",) * (place == 0))
        for place, ref in enumerate(request.crops.split(","))
    )
    wanted = sum((crop.wanted for crop in crops), Amount())
    here = sum((crop.here for crop in crops), Amount())
    values: dict[str, object] = {
        "data_root": request.data_root,
        "address": f"s3://{request.bucket}",
        "crops": crops,
        "wanted": wanted,
        "to_fetch": wanted - here,
        "disk_bytes": wanted.bytes - here.bytes,
        "free_bytes": 1_200_000_000_000,
        "fits": True,
        "estimated_s": 212.0,
        **changes,
    }
    return FetchPlan(**values)  # type: ignore[arg-type]


def plan_with(monkeypatch: pytest.MonkeyPatch, plan: Callable[[FetchRequest, Reporter], FetchPlan]) -> None:
    """Let the screen plan with a function of the test's own."""
    monkeypatch.setattr("cellmap_tui.services.fetch_plan.plan_fetch", plan)


def metric(step: int, **values: float) -> dict[str, object]:
    """Return measured values as an event."""
    return {"event": "metric", "step": step, "epoch": None, "values": values}


def crop_values(ref: str, **values: float) -> dict[str, object]:
    """Return measured values of one crop as an event."""
    return {"event": "metric", "step": 0, "epoch": None, "values": {f"{ref}:{k}": v for k, v in values.items()}}


MIDWAY: list[dict[str, object]] = [
    {"event": "state", "state": "queued", "by": "somebody@testhost"},
    {"event": "state", "state": "running", "by": None},
    *(crop_values(ref, total_bytes=1_900_000_000, total_objects=118) for ref in REFS),
    crop_values(f"{REFS[1]}|em/s1", objects=60, total_objects=114),
    crop_values(f"{REFS[1]}|mito", objects=2, total_objects=4),
    {"event": "progress", "done": 0, "total": 5_700_000_000, "unit": "bytes"},
    crop_values(REFS[0], bytes=1_900_000_000, objects=118),
    {"event": "note", "message": f"{REFS[0]}: verified (118 objects)"},
    {"event": "progress", "done": 1_900_000_000, "total": 5_700_000_000, "unit": "bytes"},
    crop_values(REFS[1], bytes=300_000_000, objects=20),
    crop_values(REFS[1], bytes=700_000_000, objects=62),
    {"event": "progress", "done": 2_600_000_000, "total": 5_700_000_000, "unit": "bytes"},
    crop_values(REFS[2], bytes=100_000_000, objects=5, failed=2),
    {"event": "warning", "message": f"{REFS[2]}: labels/groundtruth/crop155/.zattrs: access denied [403]"},
    {"event": "metric", "step": 182, "epoch": None, "values": {"width": 16}},
    {"event": "progress", "done": 2_700_000_000, "total": 5_700_000_000, "unit": "bytes"},
]
"""A fetch of three crops: one is here, one comes, one has failures."""
