from __future__ import annotations

import threading

import numpy as np
import pytest
from textual.app import App

from cellmap_tui.app.widgets.half_cells import enlarge, full_cells, half_cells
from cellmap_tui.app.widgets.slice_state import Drawing, Letter, Look
from cellmap_tui.app.widgets.slice_view import SliceView
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import DataError

GRID = Grid((50.0, 4.0, 4.0), (1000.0, 2.0, 2.0), (30, 512, 512))


class FakeSource:
    key = "ds/crop1"
    grid = GRID
    classes = ("mito", "er")
    kinds = ("gt",)

    def __init__(self):
        self.specs = []
        self.gate = threading.Event()
        self.gate.set()
        self.error = None

    def draw(self, spec, is_stale=lambda: False):
        self.gate.wait(10)
        self.specs.append(spec)
        if self.error:
            raise self.error
        rgb = np.full((spec.height, spec.width, 3), 10 * spec.point[spec.axis] % 256, np.uint8)
        return Drawing(rgb, letters=(Letter(0, 1, "m"),), voxels_per_pixel=(512 / spec.height, 512 / spec.width))


class SliceApp(App):
    def __init__(self):
        super().__init__()
        self.source = FakeSource()
        self.drawn = 0

    def compose(self):
        yield SliceView(message="Nothing here: press 3")

    def on_mount(self):
        self.view = self.query_one(SliceView)
        self.view.focus()

    def on_slice_view_drawn(self):
        self.drawn += 1

    @property
    def last_line(self):
        return self.view.render_line(self.view.size.height - 1).text


async def shown(app, pilot, drawn=1):
    while app.drawn < drawn:
        await pilot.pause()
    await pilot.pause()


async def full(app, pilot):
    """Wait until the last picture asked for is drawn in full."""
    while not app.source.specs or app.source.specs[-1].coarse or app.view._is_drawing:
        await pilot.pause(0.01)
    await pilot.pause()


async def test_an_empty_view_says_what_to_press():
    app = SliceApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("right_square_bracket", "t", "enter", "escape", "l")
        await pilot.pause()
        assert "Nothing here: press 3" in app.view.render_line(0).text


async def test_the_position_is_always_told_in_voxels_and_nm():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.view.show(app.source)
        await shown(app, pilot)
        assert "z 15/30  voxel 15 256 256  nm 1750 1026 1026" in app.last_line
        await pilot.press("right_square_bracket")
        assert "z 16/30  voxel 16 256 256  nm 1800 1026 1026" in app.last_line
        await full(app, pilot)


async def test_keys_move_turn_and_zoom():
    app = SliceApp()
    async with app.run_test(size=(80, 21)) as pilot:
        app.view.show(app.source)
        await shown(app, pilot)
        await pilot.press("left_square_bracket", "right_curly_bracket", "right_curly_bracket", "left_curly_bracket")
        assert app.view.look.point == (19, 256, 256)
        await pilot.press("l", "k", "t", "o", "s", "enter")
        look = app.view.look
        assert look.point == (19, 256 - 64, 256 + 64)
        assert (look.axis, look.overlay, look.only_class, look.zoomed) == (1, "outline", "mito", True)
        await pilot.press("l", "escape", "s", "s", "o", "o")
        assert app.view.look.point == (19, 192, 330)
        assert not app.view.look.zoomed
        assert (app.view.look.only_class, app.view.look.overlay) == (None, "tint")
        await full(app, pilot)


async def test_a_step_stops_at_the_ends_of_the_crop():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.view.show(app.source)
        await pilot.press(*["right_curly_bracket"] * 4)
        assert app.view.look.index == 29
        await pilot.press(*["left_curly_bracket"] * 4)
        assert app.view.look.index == 0
        await full(app, pilot)


async def test_held_keys_draw_only_the_newest_slice():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.view.show(app.source)
        await full(app, pilot)
        app.source.gate.clear()
        await pilot.press(*["right_square_bracket"] * 10)
        app.source.gate.set()
        await full(app, pilot)
        assert [spec.point[0] for spec in app.source.specs] in ([15, 16, 25], [15, 16, 25, 25])


async def test_the_picture_is_half_as_large_while_scrubbing_and_full_afterwards():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.view.show(app.source)
        await full(app, pilot)
        await pilot.press("right_square_bracket")
        await full(app, pilot)
        sizes = [(spec.width, spec.height, spec.coarse) for spec in app.source.specs]
        assert sizes == [(80, 38, False), (40, 19, True), (80, 38, False)]


async def test_a_file_that_cannot_be_read_is_told_in_the_view_and_the_next_slice_is_tried():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.source.error = DataError("crop1/mito/.zattrs: 'multiscales' is missing", "fetch it again")
        app.view.show(app.source)
        while not app.source.specs or app.view._is_drawing:
            await pilot.pause(0.01)
        await pilot.pause()
        assert "'multiscales' is missing; fetch it again" in app.view.render_line(0).text
        app.source.error = None
        await pilot.press("right_square_bracket")
        await shown(app, pilot)
        assert "multiscales" not in app.view.render_line(0).text
        await full(app, pilot)


async def test_a_slow_slice_of_another_crop_is_thrown_away():
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.source.gate.clear()
        app.view.show(app.source)
        await pilot.pause()
        other = FakeSource()
        other.key = "ds/crop2"
        app.view.show(other)
        app.source.gate.set()
        await shown(app, pilot)
        assert app.view.source is other
        assert len(other.specs) == 1
        assert app.drawn == 1


async def test_without_colours_labels_are_outlines_with_letters(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = SliceApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.view.show(app.source)
        await shown(app, pilot)
        assert app.source.specs[0].overlay == "outline"
        assert app.view.render_line(0).text[1] == "m"


def test_half_cells_put_two_pixels_into_a_character():
    rgb = np.zeros((4, 3, 3), np.uint8)
    rgb[0, 1] = 255
    strips = half_cells(rgb)
    assert [strip.text for strip in strips] == [" ▀ ", "   "]
    cell = strips[0].crop(1, 2)._segments[0].style
    assert (cell.color.triplet.normalized, cell.bgcolor.triplet.normalized) == ((1, 1, 1), (0, 0, 0))


def test_coarse_colours_make_fewer_runs():
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 3, 2).repeat(2, 0)
    assert len(half_cells(ramp)[0]._segments) == 64
    assert len(half_cells(ramp, coarse=True)[0]._segments) == 4


@pytest.mark.parametrize("shape", [(7, 5), (8, 4), (1, 1)])
def test_an_enlarged_picture_has_the_size_asked_for(shape):
    half = np.zeros((-(-shape[0] // 2), -(-shape[1] // 2), 3), np.uint8)
    assert enlarge(half, shape[1], shape[0]).shape == (*shape, 3)


def test_ascii_terminals_get_spaces_only():
    rgb = np.random.default_rng(1).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    assert {strip.text for strip in full_cells(rgb)} == {" " * 8}


def test_the_words_of_a_position_fit_into_the_width():
    look = Look.at_middle(GRID)
    assert [len(look.words(width)) <= width for width in (30, 48, 60)] == [True] * 3
