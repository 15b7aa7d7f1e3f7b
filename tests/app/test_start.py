"""What starting the app costs, and what it must not load on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cellmap_tui.app.app import CellmapApp, run_app
from tests.app.builders import run_of, settings_at

CHECKOUT = Path(__file__).parents[2]
HEAVY = {"numpy", "pandas", "zarr", "boto3", "botocore", "skimage", "scipy", "torch", "monai", "msgspec"}
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from cellmap_tui.app.app import CellmapApp
from cellmap_tui.services.settings import load_settings

class Seen(CellmapApp):
    modules = frozenset()
    def _display(self, screen, renderable):
        if not self.modules and screen.query("Header"):
            type(self).modules = frozenset(sys.modules)
        super()._display(screen, renderable)

async def main():
    app = Seen(load_settings(), start=sys.argv[1])
    async with app.run_test() as pilot:
        await pilot.pause()
    print(json.dumps(sorted(Seen.modules)))

asyncio.run(main())
"""


def _modules_at_first_paint(start: str, tmp_path: Path) -> set[str]:
    places = {"CELLMAP_TUI_STATE_DIR": str(tmp_path / "state"), "CELLMAP_TUI_CONFIG_DIR": str(tmp_path / "config")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, start],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), "LANG": "C.UTF-8", **places},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("start", ["home", "data", "classes", "runs", "settings"])
def test_nothing_heavy_is_loaded_before_the_first_paint(start: str, tmp_path: Path) -> None:
    modules = _modules_at_first_paint(start, tmp_path)

    assert modules
    assert not modules & HEAVY
    assert len(modules) < 650


def test_leaving_says_which_runs_go_on_and_a_closed_terminal_ends_the_app(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(app: CellmapApp) -> None:
        app.set_reactive(CellmapApp.runs, (run_of("a", "running"), run_of("b", "paused"), run_of("c", "lost")))

    monkeypatch.setattr(CellmapApp, "run", run)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_app(settings_at()) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)

    assert capsys.readouterr() == ("", "2 runs go on: cellmap-tui runs list\n")
