"""Charts on a terminal: keys, messages, and that what is sent adds up to what is shown."""

import numpy as np
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.strip import Strip

from cellmap_tui.app.chart_frame import make_frame
from cellmap_tui.app.charts import Line, Window
from cellmap_tui.app.themes import load_themes, shipped_folder, variable_defaults
from cellmap_tui.app.widgets.epoch_heat import EpochHeat, make_blocks
from cellmap_tui.app.widgets.line_chart import ChartLine, LineChart
from cellmap_tui.app.widgets.small_multiples import SmallMultiples, make_grid
from cellmap_tui.app.widgets.terse_strip import terse

SIZE = (80, 24)
THEMES = {theme.name: theme for theme in load_themes([shipped_folder()]).themes}


class ChartApp(App):
    CSS = "LineChart, SmallMultiples, EpochHeat { border: round $primary; }"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, chart):
        super().__init__()
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = "cellmap-dark"
        self.chart = chart
        self.seen = []

    def get_theme_variable_defaults(self):
        return variable_defaults(THEMES, "cellmap-dark")

    def compose(self):
        yield self.chart

    def on_mount(self):
        self.chart.focus()

    def on_line_chart_cursor_moved(self, event):
        self.seen.append(("cursor", event.x))

    def on_line_chart_zoomed(self, event):
        self.seen.append(("zoomed", event.window and (event.window.x_low, event.window.x_high)))

    def on_line_chart_option_asked(self, event):
        self.seen.append(("asked", event.what))

    def on_small_multiples_highlighted(self, event):
        self.seen.append(("highlighted", event.title))

    def on_small_multiples_opened(self, event):
        self.seen.append(("opened", event.title))

    def on_epoch_heat_cell_highlighted(self, event):
        self.seen.append((event.class_name, event.epoch, event.value))

    def on_epoch_heat_cell_opened(self, event):
        self.seen.append(("opened", event.class_name, event.epoch))


def curves(end=1000, noise=0.05):
    x = np.arange(float(end))
    rng = np.random.default_rng(0)
    wiggle = noise * rng.standard_normal(2000)[:end]
    return [
        ChartLine("train", 0, x, np.exp(-x / 300) + 0.1, raw=np.exp(-x / 300) + 0.1 + wiggle),
        ChartLine("val", 1, x, np.exp(-x / 400) + 0.2),
    ]


def text_of(chart):
    return [chart.render_line(y).text.rstrip() for y in range(chart.content_size.height)]


async def test_a_chart_shows_its_axes_names_and_newest_values():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(), planned_end=2000)
        await pilot.pause()
        lines = text_of(app.chart)
    assert lines[-1] == "train 0.136  val 0.282"
    assert lines[-2].startswith("step 0")
    assert lines[-2].endswith("2000")
    assert any(line.endswith("val") for line in lines)


async def test_the_keys_of_the_cursor_tell_where_it_is():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(), planned_end=2000)
        await pilot.press("left")
        assert app.seen == [("cursor", 999.0)]
        await pilot.press("h", "h", "l")
        places = [x for _, x in app.seen]
        assert places[0] > places[1] > places[2] < places[3]
        assert "step" in text_of(app.chart)[-1]
        await pilot.press("escape")
        assert app.chart.cursor is None
        assert app.seen[-1] == ("cursor", None)


async def test_a_cursor_set_by_another_chart_tells_nothing():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(), planned_end=2000)
        app.chart.set_cursor(500)
        await pilot.pause()
        assert app.seen == []
        assert text_of(app.chart)[-1].startswith("step 500  train 0.2")
        assert app.chart.readout() == [
            ("train", 500.0, pytest.approx(0.289, abs=1e-3)),
            ("val", 500.0, pytest.approx(0.4865, abs=1e-3)),
        ]


async def test_zooming_halves_the_axis_and_fits_the_values():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(), planned_end=2000)
        app.chart.set_cursor(900)
        await pilot.press("i")
        assert app.seen == [("zoomed", (400.0, 1400.0))]
        assert app.chart.window.y_high < 0.7
        await pilot.press("o", "o")
        assert app.seen[1:] == [("zoomed", None)] * 2
        await pilot.press("i", "i", "f")
        assert app.seen[-1] == ("zoomed", None)
        assert app.chart.window.x_high == 2000


async def test_a_zoomed_window_follows_the_newest_points_when_asked():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(1000))
        app.chart.set_span((800, 1000))
        await pilot.press("F")
        assert app.seen == [("asked", "follow")]
        app.chart.show(curves(1500))
        assert app.chart.window.x_low < 1499 < app.chart.window.x_high
        await pilot.press("F")
        app.chart.show(curves(1900))
        assert app.chart.window.x_high < 1800


async def test_a_chart_asks_its_owner_for_what_changes_the_numbers():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("+", "-", "0", "b", "m", "y", "Y", "s", "%")
        asked = ["smoother", "rougher", "raw", "band", "axis", "log_y", "log_x", "series", "clip"]
        assert app.seen == [("asked", what) for what in asked]


async def test_a_given_window_is_shown_exactly_until_the_axis_changes():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE):
        window = Window(100, 300, 0, 0.5)
        app.chart.show(curves())
        app.chart.set_window(window)
        assert app.chart.window == window
        app.chart.show(curves(), axis_words="elapsed")
        assert app.chart.window.x_high == 1000


async def test_empty_and_broken_curves_are_shown_as_nothing():
    app = ChartApp(LineChart())
    nothing = np.full(5, np.nan)
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show([])
        await pilot.press("left", "i", "o")
        app.chart.show([ChartLine("x", 0, nothing, nothing), ChartLine("y", 9, np.empty(0), np.empty(0))])
        await pilot.press("left", "right", "i", "F")
        assert text_of(app.chart)[-1] == "x -  y -"


class Recorder(HeadlessDriver):
    """Keeps what would go to a terminal."""

    sent = ""

    @property
    def is_headless(self):
        return False

    def write(self, data):
        Recorder.sent += data


def terminal():
    screen = pyte.Screen(*SIZE)
    return screen, pyte.Stream(screen)


async def run_recorded(app, steps):
    """Run an app that writes to a terminal in memory, and return what is there and in it after each step."""
    screen, stream = terminal()
    shown = []
    app.driver_class = Recorder
    Recorder.sent = ""
    async with app.run_test(size=SIZE, headless=False) as pilot:
        for step in steps:
            step(app.chart)
            await pilot.pause()
            await pilot.pause()
            stream.feed(Recorder.sent)
            sent, Recorder.sent = Recorder.sent, ""
            inner = [row[1:-1].rstrip() for row in screen.display[1:-1]]
            shown.append((inner, text_of(app.chart), len(sent.encode())))
    return shown


async def test_changed_cells_add_up_to_the_whole_picture():
    steps = [lambda chart, end=end: chart.show(curves(end), planned_end=2000) for end in range(600, 1000, 40)]
    steps += [lambda chart: chart.set_cursor(500.0), lambda chart: chart.set_cursor(520.0)]
    steps += [lambda chart: chart.show(curves(1000), planned_end=2000, log_y=True, band=False)]
    shown = await run_recorded(ChartApp(LineChart()), steps)
    for on_terminal, drawn, _ in shown:
        assert on_terminal == drawn
    first, *later = [sent for _, _, sent in shown]
    assert max(later[:9]) < first / 2


async def test_showing_the_same_again_sends_nothing():
    def same(chart):
        chart.show(curves(), planned_end=2000)

    shown = await run_recorded(ChartApp(LineChart()), [same, same, same])
    assert [sent for _, _, sent in shown[1:]] == [0, 0]


async def test_a_new_theme_paints_all_again():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(curves(), planned_end=2000)
        await pilot.pause()
        dark = app.chart.render_line(5)
        app.theme = "cellmap-light"
        await pilot.pause()
        light = app.chart.render_line(5)
        assert light.text == dark.text
        assert [segment.style for segment in light] != [segment.style for segment in dark]


async def test_a_hidden_chart_draws_when_it_is_shown():
    app = ChartApp(LineChart())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.display = False
        await pilot.pause()
        app.chart.show(curves(), planned_end=2000)
        app.chart.display = True
        await pilot.pause()
        assert text_of(app.chart)[-1] == "train 0.136  val 0.282"


def test_ascii_takes_the_place_of_braille_and_rules():
    frame = make_frame(curves(), Window(0, 2000, 0, 1), 60, 16, cursor=700, ascii=True)
    text = "\n".join(frame.text())
    assert text.isascii()
    assert "|" in text
    assert "+" in text
    assert "-" in text


styles = st.builds(
    Style,
    color=st.sampled_from(["#ff0000", "#00ff80", "#808080", None]),
    bgcolor=st.sampled_from(["#000000", "#ffffff", None]),
    bold=st.sampled_from([True, None]),
    reverse=st.sampled_from([True, None]),
)
segments = st.lists(st.builds(Segment, st.text("ab ⣿", min_size=1, max_size=4), st.one_of(st.none(), styles)))


def cells_of(data):
    screen = pyte.Screen(60, 1)
    pyte.Stream(screen).feed(data)
    cells = [screen.buffer[0][column] for column in range(60)]
    # The colour of a letter that is not there is not seen, unless it is the ground.
    return [
        (cell.data, cell.fg if cell.data != " " or cell.reverse else "", cell.bg, cell.bold, cell.reverse)
        for cell in cells
    ]


@settings(max_examples=80)
@given(segments.filter(lambda parts: sum(len(part.text) for part in parts) <= 60))
def test_terse_lines_show_what_textuals_lines_show(parts):
    system = ColorSystem.TRUECOLOR
    whole = "".join(
        part.text if part.style is None else Strip.render_style(part.style, part.text, system) for part in parts
    )
    short = terse(parts, system)
    assert cells_of(short) == cells_of(whole)
    assert len(short) <= len(whole) + 2 * len(parts)


def classes(count):
    return [f"class_{index}" for index in range(count)]


async def test_small_multiples_show_titles_and_newest_values_and_page():
    app = ChartApp(SmallMultiples())
    x = np.arange(10.0)
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show([(name, Line(x, x / (10 + k), k)) for k, name in enumerate(classes(48))])
        await pilot.pause()
        text = "\n".join(text_of(app.chart))
        assert "> class_0" in text
        assert "0.900" in text
        assert app.chart.page_words == "1-20 of 48"
        await pilot.press("down", "right", "enter", "end")
        assert [title for _, title in app.seen] == ["class_4", "class_5", "class_5", "class_47"]
        assert app.seen[2][0] == "opened"
        assert app.chart.page_words == "41-48 of 48"


async def test_small_multiples_keep_the_cursor_on_its_class_when_the_order_changes():
    app = ChartApp(SmallMultiples())
    x = np.arange(10.0)
    charts = [(name, [Line(x, x / 10, 0), Line(x, x / 20, 1)]) for name in classes(6)]
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(charts)
        await pilot.press("right")
        app.chart.show(charts[::-1])
        assert app.chart.title_here == "class_1"
        assert app.chart.index == 4
        app.chart.show([])
        await pilot.press("enter", "down")
        assert app.chart.title_here is None


@given(st.integers(0, 100), st.integers(1, 200), st.integers(1, 60))
def test_small_multiples_fit_into_any_size(count, width, height):
    grid = make_grid(count, width, height)
    assert grid.across * (grid.width + 2) - 2 <= width
    assert grid.down * grid.height <= height


def heat_values(count, epochs):
    values = np.linspace(0, 1, count * epochs).reshape(count, epochs)
    values[2] = np.nan
    return values


async def test_48_classes_fit_on_a_small_screen_with_their_numbers():
    app = ChartApp(EpochHeat())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(classes(48), range(1, 41), heat_values(48, 40))
        await pilot.pause()
        text = "\n".join(text_of(app.chart))
        assert all(name in text for name in classes(48))
        assert app.chart.page_words == ""
        assert text_of(app.chart)[-1].startswith("class_0   epoch 40   dice 0.0203   a cell is 6 epochs")
        assert "·······    -" in text


async def test_the_cursor_of_the_heat_map_tells_class_epoch_and_number():
    app = ChartApp(EpochHeat())
    values = heat_values(5, 10)
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(classes(5), range(1, 11), values)
        await pilot.press("down", "left", "down", "enter")
        assert app.seen[0] == ("class_1", 10, values[1, 9])
        assert app.seen[1] == ("class_1", 9, values[1, 8])
        assert app.seen[2][:2] == ("class_2", 9)
        assert np.isnan(app.seen[2][2])
        assert app.seen[3] == ("opened", "class_2", 9)
        assert "not validated" in text_of(app.chart)[-1]
        await pilot.press("home", *["left"] * 20)
        assert app.chart.cell == ("class_0", 1, values[0, 0])
        app.chart.show([], [], np.empty((0, 0)))
        await pilot.press("enter", "down", "left")
        assert app.chart.cell is None


async def test_the_heat_map_stays_on_its_class_and_at_the_newest_epoch():
    app = ChartApp(EpochHeat())
    async with app.run_test(size=SIZE) as pilot:
        app.chart.show(classes(5), range(1, 11), heat_values(5, 10))
        await pilot.press("down")
        app.chart.show(classes(5)[::-1], range(1, 12), heat_values(5, 11))
        assert app.chart.cell[:2] == ("class_1", 11)


@given(st.integers(0, 200), st.integers(0, 3000), st.integers(1, 200), st.integers(1, 60))
def test_blocks_of_the_heat_map_hold_every_epoch(count, epochs, width, height):
    blocks = make_blocks(count, epochs, width, height)
    assert blocks.strip // blocks.epoch_cells * blocks.epochs_in_cell >= epochs
    if width >= 30:
        assert blocks.across * blocks.pitch - 2 <= width
    assert blocks.rows + 2 <= max(3, height)
