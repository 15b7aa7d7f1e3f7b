"""What the pages over a live training look like, at both sizes; and without colours, where pictures need letters."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.app.screens.live_classes import LiveClassesScreen
from cellmap_tui.app.screens.live_compare import LiveCompareScreen
from cellmap_tui.app.screens.live_heat import LiveHeatScreen
from cellmap_tui.app.screens.live_machine import LiveMachineScreen
from cellmap_tui.app.screens.live_samples import LiveSamplesScreen
from tests.app.builders import NOW_S, settings_at
from tests.app.live_parts import (
    OTHER,
    RUN,
    machine,
    opened,
    reading,
    still,
    train_app,
    write_samples,
    write_telemetry,
    write_training,
)

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
PAGES = {
    "classes": LiveClassesScreen,
    "heat": LiveHeatScreen,
    "samples": LiveSamplesScreen,
    "machine": LiveMachineScreen,
    "compare": LiveCompareScreen,
}


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def showing(name: str, *keys: str):
    """Return what opens a page over two runs and presses keys."""
    write_training()
    write_training(OTHER, rate=0.01, best=0.7)
    for path in (RUN, OTHER):
        state = {"v": 1, "state": "done", "created": NOW_S - 600, "start": NOW_S - 600, "ended": NOW_S - 570}
        (path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    write_samples()
    write_telemetry(RUN, machine(2), reading(2))

    async def run(pilot):
        await opened(pilot, PAGES[name], RUN, *([OTHER] if name == "compare" else []))
        for key in keys:
            await pilot.press(key)
            await still(pilot)

    return run


@SIZES
@pytest.mark.parametrize("name", PAGES)
def test_a_page(snap_compare, size, name) -> None:
    assert snap_compare(train_app(), terminal_size=size, run_before=showing(name))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_light(snap_compare, name) -> None:
    app = train_app(settings=settings_at(theme="cellmap-light"))

    assert snap_compare(app, terminal_size=SMALL, run_before=showing(name))


@pytest.mark.parametrize("name", ["classes", "heat", "samples"])
def test_a_page_without_colours(snap_compare, monkeypatch, name) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(train_app(), terminal_size=SMALL, run_before=showing(name))


def test_charts_of_the_classes(snap_compare) -> None:
    assert snap_compare(train_app(), terminal_size=SMALL, run_before=showing("classes", "t"))


def test_the_classes_of_two_runs(snap_compare) -> None:
    assert snap_compare(train_app(), terminal_size=SMALL, run_before=showing("compare", "t", "t"))
