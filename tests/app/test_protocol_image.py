"""Slices as Sixel or Kitty graphics, with the library that draws them and without."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from cellmap_tui.app.screens.slice import SliceScreen
from cellmap_tui.app.widgets import protocol_image, slice_view
from cellmap_tui.app.widgets.protocol_image import (
    Picture,
    ProtocolImage,
    load_protocols,
    protocol_problem,
    with_cross,
)
from cellmap_tui.app.widgets.slice_state import Letter, Look
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.cli.context import split_globals
from tests.app.builders import app_with, settings_at
from tests.app.small_data import at_rest
from tests.app.test_slice_view import GRID, FakeSource

SIXEL = "\x1bP"
KITTY = "\x1b_G"


class Terminal(io.StringIO):
    """What the library writes to by itself."""


@pytest.fixture(autouse=True)
def _true_colour(monkeypatch):
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("TMUX", raising=False)


@pytest.fixture
def terminal(monkeypatch):
    assert load_protocols()
    terminal = Terminal()
    monkeypatch.setattr(sys, "__stdout__", terminal)
    return terminal


def app_that_draws(images):
    return app_with(settings=settings_at(images=images))


async def open_slices(app, pilot, source=None):
    source = source or FakeSource()
    app.push_screen(SliceScreen(source, Look.at_middle(GRID), "ds/crop1"))
    await at_rest(pilot)
    return source


async def pictured(app, pilot):
    """Wait until a picture stands in its place, and return what the library's widget paints."""
    while True:
        await at_rest(pilot)
        found = app.screen.query(ProtocolImage)
        if (
            found
            and found.first().has_class("-shown")
            and app.screen.query_one(SliceView).region.overlaps(found.first().region)
        ):
            await pilot.pause()
            return painted(app)


def painted(app):
    chops = app.screen._compositor.render_strips()
    return "".join(segment.text for strip in chops for segment in strip)


def toasts(app):
    return [notification.message for notification in app._notifications]


@pytest.mark.parametrize(("images", "widget"), [("sixel", "SixelImage"), ("kitty", "TGPImage")])
async def test_the_picture_is_drawn_by_the_widget_of_the_chosen_protocol(terminal, images, widget):
    app = app_that_draws(images)
    async with app.run_test(size=(120, 40)) as pilot:
        source = await open_slices(app, pilot)
        strips = await pictured(app, pilot)
        library = getattr(sys.modules["textual_image.widget"], widget)
        assert type(app.screen.query_one(ProtocolImage).children[0]) is library
        assert (SIXEL if images == "sixel" else KITTY) in (strips if images == "sixel" else terminal.getvalue())
        view = app.screen.query_one(SliceView)
        assert (source.specs[-1].width, source.specs[-1].height) == (
            10 * view.size.width,
            20 * (view.size.height - 1),
        )
        assert "z 15/30" in view.render_line(view.size.height - 1).text
        assert toasts(app) == []


async def test_half_cells_are_shown_while_scrubbing_and_the_picture_afterwards(terminal, monkeypatch):
    app = app_that_draws("sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        source = await open_slices(app, pilot)
        await pictured(app, pilot)
        view, picture = app.screen.query_one(SliceView), app.screen.query_one(ProtocolImage)
        with monkeypatch.context() as still_scrubbing:
            still_scrubbing.setattr(slice_view, "SETTLE_S", 3600)
            await pilot.press("right_square_bracket")
            while view._is_drawing:
                await pilot.pause()
        assert view._wanted.coarse
        assert not picture.has_class("-shown")
        assert SIXEL not in painted(app)
        assert (view._wanted.width, view._wanted.height) == (view.size.width // 2, view.size.height - 1)
        await pilot.press("right_square_bracket")
        assert SIXEL in await pictured(app, pilot)
        assert not source.specs[-1].coarse


async def test_scrubbing_a_zoomed_picture_shows_the_same_part_of_the_slice(terminal):
    app = app_that_draws("sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        source = await open_slices(app, pilot)
        await pilot.press("enter")
        await pictured(app, pilot)
        zoomed = [spec for spec in source.specs if spec.zoom is not None]
        coarse, full = next(spec for spec in zoomed if spec.coarse), next(spec for spec in zoomed if not spec.coarse)
        assert full.voxels_per_pixel == 1
        assert coarse.voxels_per_pixel * coarse.width == pytest.approx(full.width, rel=0.02)


async def test_leaving_the_screen_takes_the_picture_out_of_the_terminal(terminal):
    app = app_that_draws("kitty")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_slices(app, pilot)
        await pictured(app, pilot)
        assert f"{KITTY}a=d" not in terminal.getvalue()
        await pilot.press("escape")
        await at_rest(pilot)
        assert f"{KITTY}a=d" in terminal.getvalue()
        assert not app.screen.query(ProtocolImage)


async def test_half_cells_stand_below_dialogs_and_toasts(terminal):
    app = app_that_draws("sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_slices(app, pilot)
        await pictured(app, pilot)
        picture = app.screen.query_one(ProtocolImage)
        await pilot.press("question_mark")
        await pilot.pause()
        assert not picture.display
        await pilot.press("escape")
        await pictured(app, pilot)
        app.notify("look here", timeout=600)
        await pilot.pause()
        assert not picture.display
        app.clear_notifications()
        app.toasts_end_s = 0.0
        app.notify("and gone", timeout=0.1)
        assert SIXEL in await pictured(app, pilot)


async def test_without_the_extra_one_toast_names_the_remedy_and_half_cells_are_drawn(monkeypatch):
    monkeypatch.setitem(sys.modules, "textual_image", None)
    monkeypatch.setitem(sys.modules, "textual_image.widget", None)
    assert not load_protocols()
    app = app_that_draws("sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(2):
            source = await open_slices(app, pilot)
            view = app.screen.query_one(SliceView)
            assert source.specs[-1].width == view.size.width
            assert not app.screen.query(ProtocolImage)
            assert len(view._strips) == view.size.height - 1
            await pilot.press("escape")
        assert len(toasts(app)) == 1
        assert "pip install 'cellmap-tui[images]'" in toasts(app)[0]


async def test_a_setting_changed_in_the_app_counts_from_its_next_start(monkeypatch):
    monkeypatch.delitem(sys.modules, "textual_image.widget", raising=False)
    app = app_that_draws("kitty")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_slices(app, pilot)
        assert "when the app is started again" in toasts(app)[0]
        assert not app.screen.query(ProtocolImage)


async def test_without_colours_half_cells_with_outlines_are_drawn(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_that_draws("sixel")
    async with app.run_test(size=(120, 40)) as pilot:
        source = await open_slices(app, pilot)
        assert source.specs[-1].overlay == "outline"
        assert not app.screen.query(ProtocolImage)


def test_kitty_graphics_need_true_colour_and_in_tmux_a_library_that_knows_it(terminal, monkeypatch):
    assert "COLORTERM" in protocol_problem("kitty", "256")
    assert protocol_problem("sixel", "256") == protocol_problem("kitty", "truecolor") == ""
    monkeypatch.setenv("TMUX", "/tmp/tmux-1/default,1,0")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.12.0")
    assert "0.13" in protocol_problem("kitty", "truecolor")
    assert protocol_problem("sixel", "truecolor") == ""


def test_loading_asks_the_terminal_nothing_and_tells_the_library_the_size_of_a_cell(monkeypatch):
    class Asked(Terminal):
        def isatty(self):
            return True

    for name in [name for name in sys.modules if name.partition(".")[0] == "textual_image"]:
        monkeypatch.delitem(sys.modules, name)
    terminal = Asked()
    monkeypatch.setattr(sys, "__stdout__", terminal)
    monkeypatch.setattr(protocol_image, "_kernel_cell_px", lambda: (9, 18))
    assert load_protocols()
    assert terminal.getvalue() == ""
    assert sys.__stdout__ is terminal
    assert sys.modules["textual_image.widget"].get_cell_size() == (9, 18)


def test_a_picture_fills_whole_cells_and_keeps_its_pixels():
    rgb = np.random.default_rng(1).integers(0, 255, (45, 31, 3), dtype=np.uint8)
    picture = Picture.of(rgb, (10, 20), (1, 2, 3))
    pixels = np.asarray(picture.image)
    assert (picture.columns, picture.rows, pixels.shape) == (4, 3, (60, 40, 3))
    assert (pixels[:45, :31] == rgb).all()
    assert (pixels[45:] == (1, 2, 3)).all()
    assert picture.half_cells().shape == (6, 4, 3)


@pytest.mark.parametrize(("row", "column"), [(10, 10), (0, 0), (19, 29), (-50, 5), (5, 500)])
def test_a_cross_may_lie_anywhere(row, column):
    rgb = np.full((20, 30, 3), 7, np.uint8)
    marked = with_cross(rgb, Letter(row, column, "+"))
    assert (rgb == 7).all()
    inside = 0 <= row < 20 and 0 <= column < 30
    assert not inside or (marked[row, column] == 255).all()
    assert (marked == 7).any()


def test_the_flag_says_how_slices_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLMAP_TUI_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("CELLMAP_TUI_IMAGES", "kitty")
    context, rest = split_globals(["--images", "sixel"])
    assert (context.settings.images, context.settings.origins["images"], rest) == ("sixel", "flag", [])
