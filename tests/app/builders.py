"""Apps and runs as tests need them: nothing of the machine, the clock or the user's files shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.runs_watch import RunsWatch
from cellmap_tui.jobs.summary import RunSummary
from cellmap_tui.services.doctor_model import Check, DoctorReport
from cellmap_tui.services.settings import SETTABLE, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW_S = 1_760_000_000.0
"""2025-10-09 08:53:20 UTC."""

LONG_NAME = "20251009T085000Z-" + "a-very-long-command-name-" * 4 + "[bold]x[/]-\x1b[31m-4a5b6c"


def settings_at(folder: Path = Path(), **changes: object) -> Settings:
    """Return settings below a folder; relative to the current one the paths are the same everywhere."""
    values: dict[str, object] = {
        "data_root": folder / "data",
        "runs_root": folder / "runs",
        "config_dir": folder / "config",
        "state_dir": folder / "state",
        "origins": dict.fromkeys(SETTABLE, "default"),
        **changes,
    }
    return Settings(**values)  # type: ignore[arg-type]


class FixedRuns(RunsWatch):
    """Shows the runs that the test gives it."""

    def __init__(self, runs: Sequence[RunSummary], runs_root: Path) -> None:
        super().__init__(runs_root)
        self.fixed = tuple(runs)

    def poll(self) -> tuple[RunSummary, ...]:
        return self.fixed


def app_with(
    *runs: RunSummary, settings: Settings | None = None, start: str = "home", options: dict[str, object] | None = None
) -> CellmapApp:
    """Return an app that shows these runs, on a host of no particular name."""
    settings = settings or settings_at()
    app = CellmapApp(settings, start=start, options=options)
    app.host = "testhost"
    app.animation_level = "none"
    app._watch = FixedRuns(runs, settings.runs_root)
    return app


def run_of(run_id: str, state: str = "done", **changes: object) -> RunSummary:
    """Return a run as a summary would tell of it; its directory is ``runs/<run_id>``."""
    over = state in {"done", "failed", "stopped", "lost"}
    values: dict[str, object] = {
        "run_id": run_id,
        "path": Path("runs") / run_id,
        "command": "demo",
        "state": state,
        "created_s": NOW_S - 100,
        "started_s": NOW_S - 90,
        "ended_s": NOW_S - 30 if over else None,
        "host": "testhost",
        "pid": 4321,
        "done": 45.0,
        "total": 100.0,
        "unit": "blocks",
        "arguments": ("cellmap-tui", "demo"),
        "version": "0.1.0",
        **changes,
    }
    return RunSummary(**values)  # type: ignore[arg-type]


def all_states() -> list[RunSummary]:
    """Return a run in each state that a user may see."""
    return [
        run_of(
            "20251009T085200Z-demo-000001", "running", rate=3.1, eta_s=18.0, message="making demo_cell-1/crop9001"
        ),
        run_of("20251009T085100Z-demo-000002", "paused"),
        run_of("20251009T085000Z-import-000003", "stopping", command="import", by="somebody@testhost"),
        run_of("20251009T084900Z-import-000004", "quiet", command="import", silent_s=41.0),
        run_of("20251009T084800Z-demo-000005", "lost", message="making demo_cell-1/crop9003"),
        run_of("20251009T084700Z-demo-000006", "stopped", by="somebody@testhost"),
        run_of(
            "20251009T084600Z-import-000007",
            "failed",
            command="import",
            message="mine.tif has no voxel size",
            remedy="give it with --voxel-size",
            exit_code=2,
        ),
        run_of("20251009T084500Z-demo-000008", "done", done=100.0, message="demo made", exit_code=0),
        run_of("20251009T084400Z-demo-000009", "queued", started_s=None, done=None, total=None),
        run_of(
            "20251009T084300Z-train-00000a",
            "unreadable",
            command="train",
            started_s=None,
            done=None,
            total=None,
            pid=None,
            arguments=(),
            problem="request.json: not JSON at line 1",
        ),
        run_of("20251009T084200Z-score-00000b", "done", command="score", is_newer=True, done=12.0, total=None),
    ]


def write_log(run: RunSummary, events: Sequence[dict[str, object]], output: str = "") -> None:
    """Write a run's event log and its printed output."""
    run.path.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"v": 1, "time": NOW_S - 60 + index, **event}) for index, event in enumerate(events)]
    (run.path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (run.path / "log.txt").write_text(output, encoding="utf-8")


DOCTOR_REPORT = DoctorReport(
    (
        Check("Python", "ok", "3.11.7 on Linux x86_64"),
        Check("torch", "ok", "2.13.0+cpu, CPU build"),
        Check("GPU", "note", "no NVIDIA driver", "training and prediction run on the CPU"),
        Check(
            "disk",
            "problem",
            "data: 1.2 G free, [less] than the demo needs",
            "free some, or choose another data root",
        ),
    )
)

DEMO_EVENTS: list[dict[str, object]] = [
    {"event": "state", "state": "queued", "by": "somebody@testhost"},
    {"event": "state", "state": "running", "by": None},
    {"event": "note", "message": "making demo_cell-1/crop9001"},
    {"event": "progress", "done": 45, "total": 100, "unit": "blocks"},
    {"event": "artefact", "path": "data/demo_cell-1/demo_cell-1.zarr/recon-1/em/fibsem-uint8", "kind": "volume"},
    {"event": "warning", "message": "the disk is [almost] full"},
]
