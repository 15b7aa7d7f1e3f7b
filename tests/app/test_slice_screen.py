"""Slices on the whole screen: predictions, errors, two pictures of one place, going to places, choosing classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from textual.widgets import Input, Static

from cellmap_tui.app.crop_slices import CropSlices
from cellmap_tui.app.run_slices import crops_of_run
from cellmap_tui.app.screens.choose_crop import ChooseCrop
from cellmap_tui.app.screens.slice import SliceScreen, crop_with_class
from cellmap_tui.app.screens.slice_classes import ChooseClasses
from cellmap_tui.app.widgets.slice_state import Look, kind_cycle, kinds_words
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.errors import MissingDataError
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.jobs.watch import summarise
from cellmap_tui.services.evaluate_model import EvaluateRequest
from cellmap_tui.services.map_labels_model import MapLabelsRequest
from cellmap_tui.volumes.write import write_array
from tests.app.builders import app_with, settings_at
from tests.app.small_data import CROP, GRID, at_rest, write_small_data

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from cellmap_tui.jobs.summary import RunSummary

SIZES = [(80, 24), (160, 50)]
DATA = Path("data")


def write_predictions(folder: Path = DATA / "predictions") -> None:
    """Write predictions of mito that are shifted by four voxels."""
    predicted = np.zeros((16, 32, 32), np.uint16)
    predicted[:, 4:12, 8:16], predicted[:, 18:28, 20:32] = 1, 2
    write_array(folder / "mine.zarr" / "crop7" / "mito", predicted, GRID)


@pytest.fixture
def source() -> CropSlices:
    write_small_data()
    write_predictions()
    return CropSlices(DATA, CROP, load_catalog(data_root=DATA))


async def shown(pilot: Pilot[None], source: CropSlices, look: Look | None = None) -> SliceScreen:
    """Open the slices of a crop and wait for the first picture."""
    screen = SliceScreen(source, look or Look.at_middle(GRID), CROP.ref)
    await pilot.app.push_screen(screen)
    await at_rest(pilot)
    return screen


def legend_of(screen: SliceScreen) -> str:
    return str(screen.query_one("#legend Static", Static).content)


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the full picture has followed the coarse one."""
    await at_rest(pilot)


async def test_m_draws_predictions_over_the_truth_then_alone_then_errors(source: CropSlices) -> None:
    app = app_with(start="home")
    async with app.run_test(size=(160, 50)) as pilot:
        screen = await shown(pilot, source, replace(Look.at_middle(GRID), only_class="mito"))
        seen = [screen.view.look.kinds]
        for _ in range(4):
            await pilot.press("m")
            await settled(pilot)
            seen.append(screen.view.look.kinds)
            if seen[-1] == ("error",):
                assert "TP right" in legend_of(screen)
                assert "Dice 0.6" in legend_of(screen)
                assert "errors" in str(screen.query_one("#slice").border_title)
        assert seen == [("gt",), ("gt", "predictions"), ("predictions",), ("error",), ("gt",)]


async def test_without_predictions_there_is_nothing_to_change_to(source: CropSlices) -> None:
    import shutil

    shutil.rmtree(DATA / "predictions")
    bare = CropSlices(DATA, CROP, load_catalog(data_root=DATA))
    assert bare.kinds == ("gt",)
    assert kind_cycle(bare.kinds) == (("gt",),)
    app = app_with(start="home")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, bare)
        await pilot.press("m")
        assert screen.view.look.kinds == ("gt",)


@pytest.mark.parametrize("size", SIZES)
async def test_two_pictures_stay_at_one_place_and_differ_in_what_they_draw(
    source: CropSlices, size: tuple[int, int]
) -> None:
    app = app_with(start="home")
    async with app.run_test(size=size) as pilot:
        screen = await shown(pilot, source)
        await pilot.press("c")
        await settled(pilot)
        assert screen.other is not None
        assert app.focused is screen.other
        assert (screen.view.look.kinds, screen.other.look.kinds) == (("gt",), ("predictions",))
        await pilot.press("right_square_bracket", "l", "t", "o", "plus")
        await settled(pilot)
        first, second = screen.view.look, screen.other.look
        assert replace(first, kinds=()) == replace(second, kinds=())
        assert (first.axis, first.overlay, first.zoomed) == (1, "outline", True)
        await pilot.press("tab")
        await pilot.pause()
        if app.focused is not screen.view:
            screen.view.focus()
        await pilot.press("m", "left_square_bracket")
        await settled(pilot)
        assert screen.other.look.point == screen.view.look.point
        assert screen.other.look.kinds == ("predictions",)
        await pilot.press("c")
        await settled(pilot)
        assert screen.other is None
        assert app.focused is screen.view


@pytest.mark.parametrize(
    ("wish", "point", "only"),
    [("3 4 5", (3, 4, 5), None), ("z 2", (2, 16, 16), None), ("mito 5", (0, 22, 21), "mito")],
)
async def test_i_goes_to_places_in_both_pictures(
    source: CropSlices, wish: str, point: tuple[int, int, int], only: str | None
) -> None:
    app = app_with(start="home")
    async with app.run_test(size=(160, 50)) as pilot:
        screen = await shown(pilot, source)
        await pilot.press("c", "i")
        app.screen.query_one(Input).value = wish
        await pilot.press("enter")
        await settled(pilot)
        for view in screen.query(SliceView):
            assert max(abs(a - b) for a, b in zip(view.look.point, point, strict=True)) <= 1
            assert view.look.only_class == only


async def test_a_place_that_is_none_is_told(source: CropSlices) -> None:
    app = app_with(start="home")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, source)
        await pilot.press("i")
        app.screen.query_one(Input).value = "mitto 3"
        await pilot.press("enter")
        await settled(pilot)
        assert any("did you mean" in notice.message for notice in app._notifications)
        assert screen.view.look.point == (8, 16, 16)


async def test_chosen_classes_alone_are_drawn(source: CropSlices) -> None:
    app = app_with(start="home")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, source)
        await pilot.press("C")
        assert isinstance(app.screen, ChooseClasses)
        await pilot.press("space", "j", "space", "enter")
        await settled(pilot)
        assert screen.view.look.classes == ("pm", "er")
        await pilot.press("C", "a", "enter")
        await settled(pilot)
        assert screen.view.look.classes == ()


async def test_magnification_and_opacity_go_in_steps_and_stop(source: CropSlices) -> None:
    look = Look.at_middle(GRID)
    fit = look.fit(64, 64)
    assert fit == pytest.approx(0.5)
    steps = [look]
    for _ in range(6):
        steps.append(steps[-1].magnified(1, 64, 64))
    assert [step.zoom for step in steps] == [None, 0.25, 0.125, 0.0625, 0.0625, 0.0625, 0.0625]
    assert steps[1].magnified(-1, 64, 64).zoom is None
    assert [look.with_opacity(n).opacity for n in (-9, -1, 0, 1, 9)] == [0.2, 0.2, 0.4, 0.6, 1.0]
    app = app_with(start="home")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, source)
        await pilot.press("plus", "greater_than_sign", "greater_than_sign")
        assert (screen.view.look.zoomed, screen.view.look.opacity) == (True, 0.8)
        await settled(pilot)
        await pilot.press("escape", "less_than_sign")
        assert (screen.view.look.zoomed, screen.view.look.opacity) == (False, 0.6)
        await settled(pilot)
        assert app.screen is screen


async def test_the_next_slices_are_drawn_before_the_key(source: CropSlices) -> None:
    app = app_with(start="home")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await shown(pilot, source)
        drawn: list[object] = []
        draw = source.draw
        source.draw = lambda spec, is_stale=lambda: False: (drawn.append(spec), draw(spec, is_stale))[1]  # type: ignore[method-assign]
        await pilot.press("right_square_bracket")
        assert screen.view._frames.get(source.key, screen.view._wanted) is not None
        assert [spec for spec in drawn if spec.point == (9, 16, 16)] == []
        await settled(pilot)
        for _ in range(4):
            await pilot.press("right_square_bracket")
            assert screen.view._frames.get(source.key, screen.view._wanted) is not None
            await settled(pilot)


def test_what_is_drawn_is_said_in_words() -> None:
    assert kinds_words(("gt", "predictions")) == "truth filled, prediction outlined"
    assert kinds_words(("error",)) == "errors"


# Classes and runs


async def test_v_on_a_class_opens_a_crop_that_has_it(source: CropSlices) -> None:
    catalog = load_catalog(data_root=DATA)
    assert crop_with_class(catalog, "mito") == (CROP, "mito")
    assert crop_with_class(catalog, "ld") is None
    app = app_with(start="classes")
    async with app.run_test(size=(160, 50)) as pilot:
        await at_rest(pilot)
        await pilot.press("slash", *"mito", "enter")
        await at_rest(pilot)
        app.screen.table.go_to(("", "mito"))
        await pilot.press("v")
        await at_rest(pilot)
        await settled(pilot)
        assert isinstance(app.screen, SliceScreen)
        assert app.screen.view.look.only_class == "mito"


def run_of(command: str, request: object) -> RunSummary:
    run = create_run(settings_at().runs_root, command, request, [])
    return summarise(run)


async def test_v_on_a_run_opens_its_crops_with_what_it_made(source: CropSlices) -> None:
    write_predictions(Path("mapped"))
    asked = MapLabelsRequest(data_root=DATA, crops="mine/7", classes=("mito",), output="mapped")
    app = app_with(run_of("map-labels", asked), start="runs")
    async with app.run_test(size=(160, 50)) as pilot:
        await at_rest(pilot)
        await pilot.press("v")
        await at_rest(pilot)
        await settled(pilot)
        assert isinstance(app.screen, SliceScreen)
        assert app.screen._source.kinds == ("gt", "predictions", "error")


async def test_of_several_crops_one_is_chosen(source: CropSlices) -> None:
    asked = MapLabelsRequest(data_root=DATA, crops="mine/7,mine/8", classes=("mito",))
    app = app_with(run_of("map-labels", asked), start="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await at_rest(pilot)
        await pilot.press("v")
        await at_rest(pilot)
        assert isinstance(app.screen, ChooseCrop)
        await pilot.press("j", "enter")
        await at_rest(pilot)
        assert isinstance(app.screen, SliceScreen)
        assert app.screen._source.crop.id == 8


async def test_an_evaluation_shows_what_it_compared(source: CropSlices) -> None:
    run = run_of("evaluate", EvaluateRequest(predictions="data/predictions", crops="mine/7", data_root=DATA))
    found = crops_of_run(settings_at(), run)
    assert [crop.ref for crop in found.crops] == ["mine/crop7"]
    slices = found.slices_of(found.crops[0], "run")
    look = replace(Look.at_middle(GRID), only_class="mito", kinds=("error",))
    drawing = slices.draw(look.spec(32, 32, coarse=False))
    assert drawing.facts == ("mito: Dice 0.61 in this picture",)


def test_a_run_whose_crops_are_gone_says_so(tmp_path: Path) -> None:
    run = run_of("map-labels", MapLabelsRequest(data_root=tmp_path / "empty", crops="234", classes=("mito",)))
    with pytest.raises(MissingDataError, match="no crop of this map-labels run"):
        crops_of_run(settings_at(), run)
