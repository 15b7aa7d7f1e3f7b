"""Networks, plans and jobs of predictions as the tests of the predict screen need them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.app.predict_planning import Planned, Planner
from cellmap_tui.learning.history import NAME, HistoryRow, append_row
from cellmap_tui.learning.model_card import ModelCard, write_card
from cellmap_tui.services.models import to_json
from cellmap_tui.services.predict_journal import FORMAT
from cellmap_tui.services.predict_journal import NAME as JOURNAL
from cellmap_tui.services.predict_model import PredictedCrop, PredictPlan, PredictRequest
from tests.app.builders import run_of, write_log

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from cellmap_tui.jobs.summary import RunSummary

TRAIN_ID = "20251009T075200Z-train-0000a1"
OLDER_ID = "20251009T065200Z-train-0000a0"
RUN_ID = "20251009T085200Z-predict-0000b1"
MISSING = (
    "jrc_mus-kidney/crop558: the EM is not on disk: data/jrc_mus-kidney; "
    "`fetch-data --crops jrc_mus-kidney/crop558` brings it, or --remote reads it from the bucket"
)


def training(run_id: str = TRAIN_ID, dice: tuple[float, ...] = (0.41, 0.713, 0.702), **changes: object) -> RunSummary:
    """Write the checkpoints of a training and return the run; no epoch: it has none yet."""
    run = run_of(run_id, "done", command="train", done=3.0, total=3.0, unit="epochs", **changes)
    write_log(run, [])
    (run.path / "request.json").write_text(json.dumps({"v": 1, "command": "train", "request": {}, "cwd": "."}))
    write_network(run.path, dice)
    return run


def write_network(folder: Path, dice: tuple[float, ...]) -> None:
    """Write a folder of checkpoints as far as they are read without torch."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    card = ModelCard(
        architecture="unet",
        columns=("mito", "er", "nuc", "mito/core"),
        dimensions=3,
        shape=(64, 64, 64),
        voxel_size_nm=(8.0, 8.0, 8.0),
        model_name="unet",
    )
    write_card(folder / "model.json", card)
    for epoch, value in enumerate(dice, 1):
        (checkpoints / f"unet_{epoch}.pth").write_bytes(b"weights")
        append_row(checkpoints / NAME, HistoryRow(epoch, epoch * 100, 1.0, {"val/dice": value}, value))


def crop(ref: str, **changes: object) -> PredictedCrop:
    """Return a crop of a plan."""
    dataset, name = ref.split("/")
    values: dict[str, object] = {
        "crop": ref,
        "path": f"data/predictions/{dataset}.zarr/{name}",
        "classes": ("mito", "er", "nuc", "mito/core"),
        "shape": (400, 400, 400),
        "voxel_size_nm": (8.0, 8.0, 8.0),
        "state": "planned",
        "em": "s1 at 8 nm, as asked",
        "tiles": 1728,
        "parts": 2,
        "size_bytes": 293_000_000,
        **changes,
    }
    return PredictedCrop(**values)  # type: ignore[arg-type]


def crops() -> tuple[PredictedCrop, ...]:
    """Return crops in the states that a plan knows."""
    nothing = {"tiles": 0, "parts": 0, "size_bytes": 0, "em": ""}
    return (
        crop("jrc_cos7-1a/crop557"),
        crop("jrc_hela-2/crop980", shape=(1000, 1000, 1000), voxel_size_nm=(10.4, 8.0, 8.0), tiles=20_000),
        crop("jrc_fly-vnc-1/crop559", state="kept", tiles=0, stored_bytes=51_000_000),
        crop("jrc_mus-kidney/crop558", state="missing", reason=MISSING, **nothing),
        crop("jrc_ctl-id8-1/crop986", state="nothing", classes=(), reason="the networks know none of its 3 classes",
             **nothing),
    )  # fmt: skip


def planned_of(request: PredictRequest, conflicts: tuple[str, ...] = (), **changes: object) -> Planned:
    """Return a plan of a request."""
    found = crops()
    values: dict[str, object] = {
        "networks": tuple(f"{place}/checkpoints/unet_2.pth, epoch 2: unet, 4 channels at 8 nm"
                          for place in request.checkpoints),
        "output": request.template,
        "device": "cuda:0",
        "crops": found,
        "tiles": sum(one.tiles for one in found),
        "needed_bytes": 586_000_000,
        "free_bytes": 1_200_000_000_000,
        "memory_bytes": 32_000_000_000,
        "tile_s": 0.011,
        "eta_s": 239.0,
        "warnings": conflicts,
        **changes,
    }  # fmt: skip
    return Planned(PredictPlan(**values), conflicts)  # type: ignore[arg-type]


def plan_with(monkeypatch: pytest.MonkeyPatch, plan: Callable[[PredictRequest], Planned]) -> list[PredictRequest]:
    """Make plans at once; return the requests as they come."""
    asked: list[PredictRequest] = []

    def planned(self: Planner, request: PredictRequest, tell: object, is_cancelled: object) -> Planned:
        asked.append(request)
        return plan(request)

    monkeypatch.setattr(Planner, "plan", planned)
    return asked


def prediction(state: str = "running", refs: str = "234,236", **changes: object) -> RunSummary:
    """Write the directory of a prediction and return the run."""
    values = {"done": 1000.0, "total": 3456.0, "unit": "tiles", "rate": 91.0, "eta_s": 27.0, **changes}
    run = run_of(RUN_ID, state, command="predict", **values)
    request = PredictRequest(checkpoints=("nets/a",), crops=refs, data_root=Path("data").absolute())
    asked = json.loads(to_json(replace(request)))
    write_log(run, [{"event": "state", "state": "running"}, {"event": "note", "message": "2 volumes, 3 456 tiles"}])
    document = {"v": 1, "command": "predict", "request": asked, "cwd": str(Path.cwd())}
    (run.path / "request.json").write_text(json.dumps(document))
    return run


def write_journal(folder: Path, parts: list[list[list[int]]], rows: dict[int, int]) -> None:
    """Write how far an unfinished prediction is, with a last line that is cut off."""
    place = folder / JOURNAL
    place.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "columns": {"mito": "k1", "mito/core": "k2"}, "parts": parts, "batch_size": 1}
    (place / "header.json").write_text(json.dumps(header))
    lines = [json.dumps({"part": part, "row": row}) for part, row in rows.items()]
    (place / "done.jsonl").write_text("\n".join([*lines, '{"part": 1, "ro']))
