"""Plans and events of fetches as the tests of the fetch screen need them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.services.fetch_model import Amount, CropPlan, FetchPlan, LevelPlan
from cellmap_tui.services.fetch_state import CropState, CropWork, FetchState, PartState, write_state
from cellmap_tui.services.models import to_json
from tests.app.builders import NOW_S, write_log

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.fetch_model import FetchFailure, FetchRequest
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
    return LevelPlan(name, (nm, nm, nm), True, reason, (96, 96, 96), chunks, absent=1, wanted=wanted, here=on_disk)


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
    monkeypatch.setattr(
        "cellmap_tui.services.fetch_plan.plan_fetch", lambda request, report, listings: plan(request, report)
    )


def crop_state(ref: str, work: CropWork, done: int, done_bytes: int, **changes: object) -> CropState:
    """Return how far a crop of 118 objects is."""
    values: dict[str, object] = {"what": "em s1-s4 + 35 labels", "objects": 118, "bytes": 1_900_000_000, **changes}
    failed = int(str(values.pop("failed", 0)))
    return CropState(ref=ref, state=work, done=done, done_bytes=done_bytes, failed=failed, **values)  # type: ignore[arg-type]


PARTS = (
    PartState("em/s1", 60, 114),
    PartState("labels/mito", 2, 2),
    PartState("labels/nuc", 0, 2),
)


def state_of(*crops: CropState, time_s: float = NOW_S, **changes: object) -> FetchState:
    """Return the state of a fetch of these crops."""
    values: dict[str, object] = {
        "v": 1,
        "phase": "transferring",
        "done_bytes": 2_700_000_000,
        "total_bytes": 5_700_000_000,
        "fetched": 182,
        "skipped": 0,
        "absent": 0,
        "failed": 2,
        "in_flight": 16,
        "width": 16,
        "requests": 200,
        "waiting_since": None,
        "waiting_for": "",
        **changes,
    }
    return FetchState(time=time_s, crops=crops or MIDWAY_CROPS, **values)  # type: ignore[arg-type]


MIDWAY_CROPS = (
    crop_state(REFS[0], "complete", 118, 1_900_000_000),
    crop_state(REFS[1], "fetching", 62, 700_000_000, parts=PARTS),
    crop_state(REFS[2], "incomplete", 116, 100_000_000, failed=2),
)
"""Three crops: one is here, one comes, one has failures."""

MIDWAY: list[dict[str, object]] = [
    {"event": "state", "state": "queued", "by": "somebody@testhost"},
    {"event": "state", "state": "running", "by": None},
    {"event": "progress", "done": 3, "total": 3, "unit": "crops planned"},
    {"event": "artefact", "path": "fetches/1", "kind": "fetch-state"},
    {"event": "progress", "done": 0, "total": 5_700_000_000, "unit": "bytes"},
    {"event": "note", "message": f"{REFS[0]}: verified, 118 objects, 1.9 G"},
    {"event": "progress", "done": 1_900_000_000, "total": 5_700_000_000, "unit": "bytes"},
    {"event": "progress", "done": 2_600_000_000, "total": 5_700_000_000, "unit": "bytes"},
    {"event": "warning", "message": f"{REFS[2]}: labels/groundtruth/crop155/.zattrs was not fetched"},
    {"event": "progress", "done": 2_700_000_000, "total": 5_700_000_000, "unit": "bytes"},
]
"""The events of a fetch of these crops."""


def write_fetch(run: RunSummary, state: FetchState | None = None) -> None:
    """Write the events and the state of a fetch."""
    write_log(run, MIDWAY)
    folder = Path("fetches/1")
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder, state or state_of())


def write_failures(run: RunSummary, *failures: FetchFailure) -> None:
    """Write the result of a fetch that misses something."""
    (run.path / "result.json").write_bytes(
        to_json({"v": 1, "command": "fetch-data", "value": {"failures": failures}})
    )
