"""The live screen as a user meets it: what is told is drawn, others are drawn over it, keys ask before they cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Static

from cellmap_tui.app.app import last_lines
from cellmap_tui.app.live_bell import Heard, rings
from cellmap_tui.app.live_control import rate_problem
from cellmap_tui.app.live_export import problem as export_problem
from cellmap_tui.app.live_view import MOST_OVERLAYS, LiveView, load_view, save_view
from cellmap_tui.app.live_words import NO_WORD, eta_words, last_words, step_rates
from cellmap_tui.app.screens import live_base
from cellmap_tui.app.screens.live_findings import LiveFindingsScreen
from cellmap_tui.app.screens.training import TrainingScreen
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.frame_view import FrameView
from cellmap_tui.app.widgets.header import Header
from cellmap_tui.jobs.control import pending_requests
from cellmap_tui.jobs.rundir import RunDir
from tests.app.builders import NOW_S, app_with
from tests.app.test_live_jobs import until
from tests.app.training_parts import OTHER_ID, RUN_ID, training, training_events
from tests.monitor.logs import opened as opened_source

if TYPE_CHECKING:
    from textual.pilot import Pilot

SMALL, LARGE = (80, 24), (160, 50)


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, str]]:
    """Return what is asked of runs, and ask nobody."""
    found: list[tuple[str, str]] = []
    for action in ("stop", "pause", "resume"):
        monkeypatch.setattr(
            f"cellmap_tui.jobs.runs.{action}_run", lambda run, action=action: found.append((action, run.run_id))
        )
    return found


async def opened(pilot: Pilot[None]) -> TrainingScreen:
    """Open the screen and wait until everything was read."""
    await pilot.pause()
    await pilot.press("T")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    await until(pilot, lambda: not pilot.app.runs or (screen.live is not None and screen.live.at_end))
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return screen


def words(screen: TrainingScreen, name: str) -> str:
    return str(screen.query_one(f"#{name}", Static).content)


def drawn(screen: TrainingScreen, place: int = 0) -> list[str]:
    return [line.name for line in screen.chart_panes[place].chart.lines]


# What is shown


async def test_the_newest_training_is_in_hand_and_enter_takes_another() -> None:
    other = training(OTHER_ID, "done", events=training_events(20))
    async with app_with(training(), other, start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        assert "step 120" in words(screen, "status")
        assert drawn(screen) == ["train"]
        assert drawn(screen, 2) == ["pm", "ecs", "nuc", "er", "mito"]
        await pilot.press("T", "j", "enter")
        await until(pilot, lambda: screen.live is not None and screen.live.path.name == OTHER_ID)
        await until(pilot, lambda: "step 20" in words(screen, "status"))
        assert "✓" in words(screen, "status")


async def test_what_is_told_later_is_drawn() -> None:
    training(events=training_events(20))
    async with app_with(training(events=training_events(20)), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        training(events=training_events(40))
        await until(pilot, lambda: "step 40" in words(screen, "status"))
        assert screen.chart_panes[0].chart.lines[0].x[-1] == 40


async def test_tab_brings_the_next_chart_to_the_front_where_there_is_room_for_one() -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert [pane.display for pane in screen.chart_panes] == [True, False, False, False]
        await pilot.press("tab")
        assert [pane.display for pane in screen.chart_panes] == [False, True, False, False]
        assert screen.chart_panes[1].chart.has_focus
        await pilot.press("shift+tab", "shift+tab")
        assert screen.chart_panes[3].chart.has_focus


async def test_marked_trainings_are_drawn_over_it_and_the_next_time_too() -> None:
    other = training(OTHER_ID, "done", events=training_events(20))
    async with app_with(training(), other, start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("T", "j", "space")
        await until(pilot, lambda: drawn(screen) == ["10-09 0000a0", "10-09 0000a1"])
        colours = {line.name: line.colour_index for line in screen.chart_panes[0].chart.lines}
        assert colours == {"10-09 0000a1": 0, "10-09 0000a0": 1}
        await pilot.app.workers.wait_for_complete()
    async with app_with(training(), other, start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        assert drawn(screen) == ["10-09 0000a0", "10-09 0000a1"]
        await pilot.press("T", "j", "space")
        await until(pilot, lambda: drawn(screen) == ["train"])


async def test_a_csv_log_is_drawn_too_and_has_no_keys_that_steer() -> None:
    Path("log.csv").write_text("step,loss\n" + "".join(f"{step},{1 / (step + 1)}\n" for step in range(9)))
    options = {"command": "train", "path": Path("log.csv").absolute()}
    async with app_with(start="train", options=options).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
        screen = pilot.app.screen
        assert isinstance(screen, TrainingScreen)
        await until(pilot, lambda: screen.live is not None and bool(drawn(screen)))
        steering = ("stop", "pause", "resume", "checkpoint", "validate_now", "rate", "stop_after_epoch", "full_log")
        assert not any(screen.check_action(action, ()) for action in steering)
        assert "CSV log" in words(screen, "status")


async def test_a_log_whose_columns_are_in_no_chart_is_told_of_with_their_names() -> None:
    Path("odd.csv").write_text("step,alpha,[b]beta\n1,2,3\n2,3,4\n")
    Path("fits.csv").write_text("step,loss\n1,2\n2,3\n")
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        screen.add_source(Path("fits.csv").absolute())
        await until(pilot, lambda: screen.live is not None and len(screen.live.overlays) == 1)
        screen.add_source(Path("odd.csv").absolute())
        await until(pilot, lambda: "odd.csv" in words(screen, "finding"))
        assert "none of the 2 metrics of odd.csv is in a chart" in words(screen, "finding")
        assert "it has [b]beta, alpha; drawn: loss, val/dice, lr" in words(screen, "finding")
        assert "fits.csv" not in words(screen, "finding")
        await pilot.press("W")
        await until(pilot, lambda: isinstance(pilot.app.screen, LiveFindingsScreen))
        listed = pilot.app.screen.query_one("Pane Static", Static)
        await until(pilot, lambda: "odd.csv" in str(listed.content))


async def test_a_log_without_times_is_left_out_over_time_with_a_word() -> None:
    Path("odd.csv").write_text("step,loss\n1,2\n2,3\n")
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        screen.add_source(Path("odd.csv").absolute())
        await until(pilot, lambda: len(screen.front.chart.lines) == 2)
        await pilot.press("m", "m")
        assert screen.view.axis == "time"
        await until(pilot, lambda: "odd.csv tells no times and is left out" in words(screen, "finding"))
        assert [line.name for line in screen.front.chart.lines] != []
        assert not any("odd" in line.name for line in screen.front.chart.lines)
        await pilot.press("m", "m")
        await until(pilot, lambda: "odd.csv" not in words(screen, "finding"))
        assert len(screen.front.chart.lines) == 2


@pytest.mark.parametrize(("size", "told"), [(SMALL, " on node-17  step 120"), (LARGE, "on node-17.example")])
async def test_a_run_of_another_machine_says_which_within_the_width(size: tuple[int, int], told: str) -> None:
    run = training(host="node-17.example")
    state = json.loads((run.path / "state.json").read_text())
    (run.path / "state.json").write_text(json.dumps({**state, "host": "node-17.example"}))
    async with app_with(run, start="train").run_test(size=size) as pilot:
        screen = await opened(pilot)
        assert told in words(screen, "status")[: size[0] - 2]


def test_of_a_lost_run_its_last_note_is_no_reason() -> None:
    source = opened_source(training(state="lost").path)
    note = training(state="lost", message="epoch 6 is the best so far")
    assert last_words(source, note) == NO_WORD
    told = training(state="lost", message="memory was full: 63 G of 64 G", remedy="a smaller batch_size")
    assert last_words(source, told) == "memory was full: 63 G of 64 G; a smaller batch_size"


async def test_a_run_directory_that_vanishes_leaves_its_picture_and_says_so() -> None:
    run = training()
    async with app_with(run, start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        run.path.rename("elsewhere")
        await until(pilot, lambda: "gone" in words(screen, "status"))
        assert len(screen.chart_panes[0].chart.lines[0].x) == 120


async def test_names_with_markup_and_escape_bytes_are_only_text() -> None:
    run = training(events=training_events(classes=("[bold]x[/]", "\x1b[31mred")))
    async with app_with(run, start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert "[bold]x[/]" in words(screen, "strip")
        assert "\x1b" not in words(screen, "strip")


async def test_a_filter_chooses_metrics_and_says_what_is_wrong_with_it() -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("slash", *"perf", "enter")
        await until(pilot, lambda: screen.chart_panes[0].panel.names == ("perf/data_wait",))
        await pilot.press("escape")
        await until(pilot, lambda: screen.chart_panes[0].panel.title == "loss")
        await pilot.press("slash", *"/(/")
        await until(pilot, lambda: screen.filter_bar.has_class("-bad"))
        assert screen.chart_panes[0].panel.title == "loss"


async def test_trainings_are_filtered_by_what_they_were_configured_with() -> None:
    other = training(OTHER_ID, "done")
    (other.path / "config.toml").write_text("learning_rate = 0.01\n")
    async with app_with(training(), other, start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("T", "slash", *"cfg.lr>=1e-3")
        await until(pilot, lambda: [row.path.name for row in _rows(screen)] == [OTHER_ID])
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(_rows(screen)) == 2)


async def test_cursor_and_zoom_are_the_same_in_all_charts() -> None:
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("left", "left", "i")
        charts = [pane.chart for pane in screen.chart_panes]
        assert len({chart.cursor for chart in charts}) == 1
        assert len({(chart.window.x_low, chart.window.x_high) for chart in charts}) == 1
        assert charts[0].window.x_low > 0
        await pilot.press("f", "m")
        assert screen.view.axis == "epoch"
        assert [chart.options.axis_words for chart in charts] == ["epoch"] * 4
        await pilot.press("m", "m", "plus", "y", "b", "percent_sign")
        await pilot.app.workers.wait_for_complete()
        view = load_view(pilot.app.settings.state_dir)
        assert view == LiveView(axis="elapsed", smoothing=0.95, log_y=True, band=False, clip=True)


# What is asked of the run


async def test_stopping_asks_first_and_no_leaves_it_alone(asked) -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        assert RUN_ID in pilot.app.screen._question
        assert "step 120" in pilot.app.screen._question
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.app.workers.wait_for_complete()
        assert asked == []
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: asked == [("stop", RUN_ID)])


async def test_a_second_stop_says_what_is_lost() -> None:
    async with app_with(training(state="stopping"), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        assert "at once" in pilot.app.screen._question
        assert "is lost" in pilot.app.screen._cost


async def test_pausing_and_going_on_is_asked_of_the_job(asked) -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("p")
        await until(pilot, lambda: asked == [("pause", RUN_ID)])
    async with app_with(training(state="paused"), start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await pilot.press("p")
        await until(pilot, lambda: asked[1:] == [("resume", RUN_ID)])


@pytest.mark.parametrize(
    ("unit", "told"), [("epochs", "pausing after this step"), ("validation tiles", "pausing within the validation")]
)
async def test_a_pause_that_waits_is_told_and_not_asked_twice(asked, unit: str, told: str) -> None:
    run = training(is_pausing=True, unit=unit)
    async with app_with(run, start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert told in words(screen, "status")
        await pilot.press("p")
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        assert asked == []
        await pilot.press("r")
        await until(pilot, lambda: asked == [("resume", RUN_ID)])


async def test_checkpoint_validation_rate_and_end_of_epoch_reach_the_job() -> None:
    run = RunDir(training().path)
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("c")
        await until(pilot, lambda: pending_requests(run) == ("checkpoint",))
        await pilot.press("V")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: pending_requests(run) == ("checkpoint", "validate"))
        await pilot.press("E")
        await pilot.pause()
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditLine))
        line = pilot.app.screen.query_one(Input)
        assert line.value == "0.0007"
        line.value = "20"
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, EditLine)
        line.value = "3e-4"
        await pilot.press("enter")
        await until(pilot, lambda: pending_requests(run) == ("checkpoint", "validate", "lr"))
        asked = json.loads(sorted(run.control_path.iterdir())[-1].read_text())
        assert asked["value"] == 3e-4


async def test_keys_that_can_do_nothing_are_not_there() -> None:
    steering = ("stop", "pause", "resume", "checkpoint", "validate_now", "rate", "stop_after_epoch")
    async with app_with(training(state="done"), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert not any(screen.check_action(action, ()) for action in steering)
        assert screen.check_action("new", ())
    async with app_with(start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert "no training yet" in words(screen, "status")
        assert not any(screen.check_action(action, ("classes",)) for action in (*steering, "page", "export"))


async def test_the_chart_in_hand_is_written() -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditLine))
        line = pilot.app.screen.query_one(Input)
        assert line.value.endswith("loss.svg")
        line.value = "loss.csv"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen and Path("loss.csv").exists())
        assert len(Path("loss.csv").read_text().splitlines()) >= 120
    assert "must end in" in export_problem("loss.pdf")
    assert "exists already" in export_problem("loss.csv")


@pytest.mark.parametrize("kind", ["svg", "png", "json"])
async def test_the_chart_in_hand_is_written_as_a_picture_too(kind) -> None:
    begins = {"svg": b"<svg", "png": b"\x89PNG", "json": b"{"}[kind]
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("tab", "tab", "e")
        await until(pilot, lambda: isinstance(pilot.app.screen, EditLine))
        line = pilot.app.screen.query_one(Input)
        assert line.value.endswith("Dice-by-class.svg")
        line.value = f"classes.{kind}"
        await pilot.press("enter")
        path = Path(f"classes.{kind}")
        await until(pilot, lambda: pilot.app.screen is screen and path.exists())
        assert begins in path.read_bytes()[:200]
        assert kind == "png" or b"mito" in path.read_bytes()


async def test_a_validation_is_told_and_is_no_progress_of_the_whole() -> None:
    run = training(done=16.0, total=16.0, unit="validation tiles")
    async with app_with(run, start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert "validation tiles 16/16" in words(screen, "status")
        assert "it/s" not in words(screen, "status")
        assert "100 %" not in str(screen.query_one(Header).line)


async def test_a_terminal_without_focus_is_not_drawn_on_but_hears_the_bell(monkeypatch) -> None:
    async with app_with(training(events=training_events(20)), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("B")
        rung: list[bool] = []
        monkeypatch.setattr(pilot.app, "bell", lambda: rung.append(True))
        pilot.app.app_focus = False
        await pilot.pause()
        before = words(screen, "status")
        training(events=training_events(40))
        screen._look()
        await until(pilot, lambda: bool(rung))
        assert words(screen, "status") == before
        assert screen.chart_panes[0].chart.lines[0].x[-1] == 20
        pilot.app.app_focus = True
        await until(pilot, lambda: "step 40" in words(screen, "status"))


async def test_the_shell_is_told_how_trainings_came_out_that_were_looked_at() -> None:
    ended = training(state="done", started_s=NOW_S - 90, ended_s=NOW_S)
    async with app_with(ended, start="train").run_test(size=SMALL) as pilot:
        await opened(pilot)
        lines = last_lines(pilot.app)
    assert lines == ["10-09 0000a1: done, step 120, best mean Dice 0.640 at step 120, 1 min 30 s long"]


async def test_all_that_stands_out_has_a_page() -> None:
    async with app_with(training(), start="train").run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await pilot.press("W")
        await until(pilot, lambda: isinstance(pilot.app.screen, LiveFindingsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)


# Rules


def test_a_rate_is_a_number_within_reason() -> None:
    assert rate_problem("3e-4") == ""
    assert all(map(rate_problem, ("", "fast", "0", "-1", "nan", "inf", "11")))


def test_the_bell_rings_at_an_end_and_a_new_best_but_not_at_a_first_look() -> None:
    running = Heard("running", 0.5)
    assert not rings(Heard(), Heard("done", 0.9))
    assert rings(running, Heard("failed", 0.5))
    assert rings(running, Heard("running", 0.6))
    assert not rings(running, Heard("paused", 0.5))
    assert not rings(Heard("done", 0.5), Heard("done", 0.5))


def test_a_view_that_cannot_be_read_is_as_at_first(tmp_path) -> None:
    for text in (
        "",
        "[]",
        '{"view": 3}',
        '{"view": {"axis": "miles", "smoothing": 7.0, "hidden": 3, "bell": "yes"}}',
    ):
        (tmp_path / "live-view.json").write_text(text)
        view = load_view(tmp_path, tmp_path)
        assert (view.axis, view.hidden, view.bell, view.overlays) == ("step", (), False, ())
        assert 0 <= view.smoothing <= 0.99


def test_overlays_are_kept_for_each_run(tmp_path) -> None:
    many = tuple(f"/runs/{index}" for index in range(MOST_OVERLAYS))
    assert save_view(tmp_path / "state", LiveView(overlays=many), Path("/a"))
    assert save_view(tmp_path / "state", LiveView(), Path("/b"))
    assert load_view(tmp_path / "state", Path("/a")).overlays == many
    assert load_view(tmp_path / "state", Path("/b")).overlays == ()


def test_time_left_is_a_range_where_the_speed_was_uneven() -> None:
    assert eta_words(600, [2.0, 2.02], short=False) == "ETA 5 min 00 s"
    assert eta_words(600, [2.0, 4.0], short=False) == "ETA 2 min 30 s to 5 min 00 s"
    assert eta_words(600, [2.0, 4.0], short=True) == "ETA 5 min 00 s"


def test_speed_is_taken_since_the_job_began_last() -> None:
    import numpy as np

    from cellmap_tui.monitor.points import Points

    step = np.array([1, 2, 3, 4, 5])
    time_s = np.array([0.0, 1.0, 1000.0, 1001.0, 1002.0])
    value = np.ones(5)
    points = Points(step, np.full(5, np.nan), time_s, value, value, value)
    assert step_rates(points, since_s=999.0) == [1.0, 1.0]
    assert step_rates(points)[0] < 1.1


def _rows(screen: TrainingScreen):
    index = screen.table.index
    return [index.rows[number] for number in index.shown]


def test_a_speed_needs_two_points_since_the_job_began_and_spans_a_validation() -> None:
    import numpy as np

    from cellmap_tui.monitor.points import Points

    step = np.array([1, 38, 39, 40])
    time_s = np.array([0.0, 10.0, 109.0, 110.0])
    value = np.ones(4)
    points = Points(step, np.full(4, np.nan), time_s, value, value, value)
    assert step_rates(points, since_s=110.0) == []
    assert step_rates(points, since_s=-1.0) == [39 / 110, 2 / 100]


# What keys and processors need


async def test_a_key_between_two_charts_is_answered_before_the_second_is_drawn_and_none_is_left_out(
    monkeypatch,
) -> None:
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        first = screen.chart_panes[0]
        happened: list[str] = []
        draw, ask = FrameView.draw, first.chart.action_ask

        def drawing(chart: FrameView) -> None:
            assert chart.parent is not None
            happened.append(str(chart.parent.id))
            draw(chart)

        def asking(what: str) -> None:
            happened.append(what)
            ask(what)

        monkeypatch.setattr(FrameView, "draw", drawing)
        monkeypatch.setattr(first.chart, "action_ask", asking)
        screen.call_later(screen.look, replace(screen.view, axis="epoch"))
        first.chart.call_later(first.chart.action_ask, "log_y")
        await pilot.pause()
        keys = happened.index("log_y")
        assert not {"chart1", "chart2", "chart3"} & set(happened[:keys])
        assert {"chart0", "chart1", "chart2", "chart3"} <= set(happened[keys:])
        for pane in screen.chart_panes:
            assert pane.chart.options.axis_words == "epoch"
            assert pane.chart.options.log_y
            assert "over epochs  log y" in str(pane.border_title)


async def test_charts_that_wait_for_their_turn_lose_neither_a_zoom_nor_a_cursor() -> None:
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("m", "i", "h", "m", "m", "m", "m", "i", "i", "h")
        await pilot.pause()
        windows = [pane.chart.window for pane in screen.chart_panes]
        assert len({(window.x_low, window.x_high) for window in windows}) == 1
        assert windows[0].x_high - windows[0].x_low < 120
        assert len({pane.chart.cursor for pane in screen.chart_panes}) == 1
        assert screen.chart_panes[0].chart.cursor is not None


@pytest.mark.parametrize(("share", "alone_s"), [(1.0, live_base.LONG_S), (0.5, live_base.FORGOTTEN_S)])
async def test_a_screen_that_is_left_alone_looks_seldom_until_a_key_is_pressed(monkeypatch, share, alone_s) -> None:
    clock = [1000.0]
    monkeypatch.setattr(live_base, "processors_share", lambda: share)
    monkeypatch.setattr(live_base, "now_s", lambda: clock[0])
    monkeypatch.setattr(live_base, "NEAR_S", 0.01)
    monkeypatch.setattr(live_base, "SELDOM_S", 3600.0)
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        looks: list[float] = []
        monkeypatch.setattr(screen, "_look", lambda: looks.append(clock[0]))
        await until(pilot, lambda: bool(looks))
        screen._tick_seldom()
        assert not screen.is_left_alone
        clock[0] += alone_s
        assert screen.is_left_alone
        await until(pilot, lambda: screen._often is not None and not screen._often._active.is_set())
        looks.clear()
        screen._tick_seldom()
        assert len(looks) == 1
        clock[0] += 1
        await pilot.press("h")
        await until(pilot, lambda: clock[0] in looks[1:])
        assert not screen.is_left_alone


async def test_who_watches_without_a_key_sees_every_frame_while_a_processor_is_free(monkeypatch) -> None:
    clock, share = [1000.0], [1.0]
    monkeypatch.setattr(live_base, "now_s", lambda: clock[0])
    monkeypatch.setattr(live_base, "processors_share", lambda: share[0])
    monkeypatch.setattr(live_base, "NEAR_S", 0.01)
    monkeypatch.setattr(live_base, "SELDOM_S", 3600.0)
    async with app_with(training(), start="train").run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        screen._tick_seldom()
        clock[0] += live_base.LONG_S
        await until(pilot, lambda: screen._often is not None and not screen._often._active.is_set())
        share[0] = 0.5
        screen._tick_seldom()
        assert not screen.is_left_alone
        looks: list[float] = []
        monkeypatch.setattr(screen, "_look", lambda: looks.append(clock[0]))
        await until(pilot, lambda: len(looks) >= 3)
