"""The shell as a user meets it: keys in, screens and words out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, OptionList
from textual.worker import WorkerFailed

from cellmap_tui.app.app import CellmapApp
from cellmap_tui.app.jump import JumpScreen
from cellmap_tui.app.palette import Palette
from cellmap_tui.app.screens.base import TooSmall
from cellmap_tui.app.screens.full_log import FullLog
from cellmap_tui.app.screens.help import HelpScreen
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.edit_setting import ChooseSetting, EditSetting
from cellmap_tui.app.widgets.header import Header
from cellmap_tui.app.widgets.key_bar import KeyBar
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.run_log import RunLog
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.errors import RequestError
from tests.app.builders import DEMO_EVENTS, all_states, app_with, run_of, settings_at, write_log

if TYPE_CHECKING:
    from textual.pilot import Pilot


async def settle(pilot: Pilot[None]) -> None:
    """Wait for the workers and for what they have posted."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def told(app: CellmapApp) -> list[str]:
    return [notification.message for notification in app._notifications]


def key_line(app: CellmapApp) -> str:
    return app.screen.query_one(KeyBar).line.plain


# Screens and keys


async def test_home_is_first_when_nothing_is_local() -> None:
    async with app_with().run_test() as pilot:
        assert pilot.app.current_mode == "home"


@pytest.mark.parametrize(
    ("key", "mode"),
    [("3", "fetch"), ("6", "predict"), ("8", "runs"), ("9", "settings"), ("0", "home"), ("D", "doctor")],
)
async def test_digits_go_to_the_screens(key: str, mode: str) -> None:
    async with app_with().run_test() as pilot:
        await pilot.press(key)

        assert pilot.app.current_mode == mode


async def test_the_header_names_only_screens_that_exist_and_marks_the_one_shown() -> None:
    app = app_with(run_of("a", "running"), run_of("b", "done"), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        line = app.screen.query_one(Header).line.plain

        assert "[8 Runs]" in line
        assert "● 1 run" in line
        assert not any(later in line for later in ("Predict", "Process"))


async def test_a_click_on_the_header_goes_there() -> None:
    async with app_with().run_test() as pilot:
        line = pilot.app.screen.query_one(Header).line.plain
        await pilot.click(Header, offset=(line.index("8 Runs"), 0))

        assert pilot.app.current_mode == "runs"


async def test_the_key_bar_has_at_most_six_keys_of_the_pane_and_help_and_quit() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        left, _, right = key_line(app).strip().partition("   ")

        assert right.split() == ["^p", "commands", "?", "help", "q", "quit"]
        assert len(left.split("  ")) <= 6


async def test_a_key_of_the_settings_replaces_the_built_in_one_everywhere() -> None:
    app = app_with(settings=settings_at(keys={"app.help": "f1", "go.runs": "R"}))
    async with app.run_test() as pilot:
        await pilot.press("question_mark")
        assert not isinstance(app.screen, HelpScreen)
        assert "f1 help" in key_line(app)
        await pilot.press("R")

        assert app.current_mode == "runs"


async def test_a_wrong_key_of_the_settings_is_told_and_changes_nothing() -> None:
    app = app_with(settings=settings_at(keys={"go.rums": "R"}))
    async with app.run_test(notifications=True) as pilot:
        await pilot.pause()

        assert told(app) == ["[keys] go.rums: no such key; did you mean go.runs?"]


async def test_z_enlarges_the_focused_pane_and_restores_it() -> None:
    app = app_with(start="runs")
    async with app.run_test() as pilot:
        await pilot.press("z")
        assert app.screen.maximized is app.screen.query_one("#list")
        await pilot.press("escape")

        assert app.screen.maximized is None


@pytest.mark.parametrize("size", [(20, 5), (59, 24), (80, 15)])
async def test_a_tiny_terminal_says_the_size_needed_and_how_the_runs_are(size: tuple[int, int]) -> None:
    app = app_with(run_of("a", "running"))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        cover = app.screen.query_one(TooSmall)

        assert cover.display
        assert str(cover.content) == f"{size[0]}x{size[1]}: needs 60x16\n● 1 run"


@pytest.mark.parametrize("mode", ["home", "runs", "settings", "doctor"])
async def test_every_screen_survives_any_size(mode: str) -> None:
    app = app_with(*all_states(), start=mode)
    async with app.run_test(size=(160, 50)) as pilot:
        for size in ((20, 5), (1, 1), (60, 16), (99, 30), (100, 30), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()


# Help, palette, jump


async def test_help_lists_pane_screen_and_app_and_narrows_while_typing() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        shown = str(app.screen.query_one("VerticalScroll > Static").content)  # type: ignore[attr-defined]
        assert shown.index("The focused pane") < shown.index("This screen") < shown.index("Everywhere")
        await pilot.press(*"prune")
        shown = str(app.screen.query_one("VerticalScroll > Static").content)  # type: ignore[attr-defined]
        assert "P " in shown
        assert "Move to the top" not in shown
        await pilot.press("escape")

        assert not isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_goes_to_a_screen_by_name(key: str) -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await pilot.press(key, *"go to the runs", "enter")
        await pilot.pause()

        assert app.current_mode == "runs"


async def test_the_palette_opens_a_run() -> None:
    app = app_with(*all_states())
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("colon", *"000005", "enter")
        await settle(pilot)

        assert app.current_mode == "runs"
        assert app.screen.query_one(VirtualTable).highlighted.run_id.endswith("000005")


async def test_the_palette_shows_a_theme_while_it_is_highlighted_and_takes_it_back() -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await pilot.press("colon", *"theme cellmap-light")
        await pilot.pause()
        assert app.theme == "cellmap-light"
        await pilot.press("escape")

        assert app.theme == "cellmap-dark"
        assert not Path("config/settings.toml").exists()


async def test_the_palette_keeps_a_theme_that_is_chosen() -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await pilot.press("colon", *"theme cellmap-light", "enter")
        await pilot.pause()

        assert app.theme == "cellmap-light"
        assert 'theme = "cellmap-light"' in Path("config/settings.toml").read_text()


async def test_the_palette_says_nothing_found_without_harm() -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await pilot.press("colon", *"zzzzzz", "enter")
        assert isinstance(app.screen, Palette)
        assert app.screen.query_one(OptionList).option_count == 0
        await pilot.press("escape")


async def test_jump_puts_a_letter_on_each_pane_and_goes_there() -> None:
    app = app_with(start="runs")
    async with app.run_test() as pilot:
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, JumpScreen)
        await pilot.press("s")
        assert isinstance(app.focused, RunLog)
        await pilot.press("ctrl+o", "1")

        assert isinstance(app.focused, RunLog)


# Home


async def test_home_offers_the_demo_and_says_where_data_lie() -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await settle(pilot)
        steps = app.screen.query_one("#steps", OptionList)

        assert "Make the demo data" in str(steps.get_option_at_index(0).prompt)
        assert "nothing yet" in str(app.screen.query_one("#here Static").content)  # type: ignore[attr-defined]


async def test_home_shows_a_data_root_that_is_a_file_as_an_error_with_a_way_on() -> None:
    Path("data").write_text("not a folder")
    app = app_with()
    async with app.run_test() as pilot:
        await settle(pilot)
        here = app.screen.query_one("#here", Pane)
        assert here.has_class("-failed")
        assert "is a file" in str(here.query_one("ErrorView").content)  # type: ignore[attr-defined]
        Path("data").unlink()
        here.query_one("ErrorView").focus()
        await pilot.press("r")
        await settle(pilot)

        assert not here.has_class("-failed")


async def test_a_demo_that_was_stopped_can_be_gone_on_with_from_home() -> None:
    app = app_with(run_of("20251009T084700Z-demo-000006", "stopped"))
    async with app.run_test() as pilot:
        await settle(pilot)

        assert "Go on with the demo" in str(app.screen.query_one("#steps", OptionList).get_option_at_index(0).prompt)
        assert "r resume" in key_line(app)


async def test_a_finished_demo_can_be_browsed_and_kept() -> None:
    run = run_of("20251009T084500Z-demo-000008", "done")
    run.path.mkdir(parents=True)
    Path("state/demo/data").mkdir(parents=True)
    (run.path / "result.json").write_text(json.dumps({"v": 1, "value": {"data_root": "state/demo/data"}}))
    app = app_with(run)
    app.open_mode = lambda mode, options=None: None if mode == "data" else CellmapApp.open_mode(app, mode, options)  # type: ignore[method-assign]
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("b")
        await settle(pilot)
        assert app.settings.data_root == Path("state/demo/data")
        assert app.settings.origins["data_root"] == "session"
        assert "w keep data root" in key_line(app)
        await pilot.press("w")

        assert "state/demo/data" in Path("config/settings.toml").read_text()


# Runs


async def test_the_runs_are_listed_with_their_states_and_the_log_of_the_first() -> None:
    runs = all_states()
    write_log(runs[0], DEMO_EVENTS)
    app = app_with(*runs, start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await settle(pilot)

        assert [run.run_id for run in app.screen.query_one(VirtualTable).index.rows] == [run.run_id for run in runs]
        assert [line.text for line in app.screen.query_one(RunLog).lines][-1] == "the disk is [almost] full"


async def test_attach_opens_the_runs_on_that_run() -> None:
    runs = all_states()
    app = app_with(*runs, start="runs", options={"run": runs[4].run_id})
    async with app.run_test() as pilot:
        await settle(pilot)

        assert app.screen.query_one(VirtualTable).highlighted == runs[4]


async def test_stop_asks_and_no_is_the_answer_of_enter() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("x")
        assert isinstance(app.screen, Confirm)
        await pilot.press("enter")
        await settle(pilot)

        assert not isinstance(app.screen, Confirm)
        assert not Path("runs").exists()


async def test_an_answer_of_yes_reaches_the_service_and_its_refusal_is_a_toast() -> None:
    run = run_of("20251009T085200Z-demo-000001", "running")
    app = app_with(run, start="runs")
    async with app.run_test(notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("x", "y")
        await settle(pilot)

        assert len(told(app)) == 1
        assert "does not exist" in told(app)[0]


async def test_a_run_that_ended_offers_no_stop() -> None:
    app = app_with(run_of("a", "done"), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("x")

        assert "x stop" not in key_line(app)
        assert not isinstance(app.screen, Confirm)


async def test_the_full_log_has_progress_and_output_and_esc_goes_back() -> None:
    run = run_of("20251009T085200Z-demo-000001", "running")
    write_log(run, DEMO_EVENTS, "printed line\n")
    app = app_with(run, start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("L")
        await settle(pilot)
        await settle(pilot)
        lines = [line.text for line in app.screen.query_one(RunLog).lines]
        assert "45 of 100 blocks" in lines
        assert lines[-1] == "printed line"
        await pilot.press("escape")

        assert not isinstance(app.screen, FullLog)


async def test_a_log_that_is_replaced_starts_over() -> None:
    run = run_of("20251009T085200Z-demo-000001", "running")
    write_log(run, DEMO_EVENTS)
    app = app_with(run, start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await settle(pilot)
        write_log(run, [{"event": "note", "message": "anew"}])
        log = app.screen.query_one(RunLog)
        log._look_again()
        await settle(pilot)

        assert [line.text for line in log.lines] == ["anew"]


async def test_prune_shows_which_runs_and_how_large_and_removes_them_after_yes() -> None:
    for run_id in ("20251009T084500Z-demo-0000a1", "20251009T084500Z-demo-0000a2"):
        folder = Path("runs") / run_id
        folder.mkdir(parents=True)
        (folder / "request.json").write_text('{"v": 1, "command": "demo", "request": {}}')
        (folder / "state.json").write_text('{"v": 1, "state": "done", "end": 1.0}')
        (folder / "events.jsonl").write_text('{"v": 1, "event": "state", "time": 1.0, "state": "done"}\n')
    app = app_with(start="runs")
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("P")
        await settle(pilot)
        assert isinstance(app.screen, Confirm)
        shown = " ".join(str(widget.content) for widget in app.screen.query("Static"))  # type: ignore[attr-defined]
        assert "Remove 2 ended runs" in shown
        assert "20251009T084500Z-demo-0000a1" in shown
        await pilot.press("y")
        await settle(pilot)

        assert not list(Path("runs").glob("2025*"))
        assert told(app)[0].startswith("Removed 2 runs")


async def test_a_runs_root_that_cannot_be_read_is_told_once() -> None:
    Path("runs").write_text("a file")
    app = CellmapApp(settings_at())
    async with app.run_test(notifications=True) as pilot:
        for _ in range(2):
            with contextlib.suppress(WorkerFailed):  # raised here too, if the worker fails while it is waited for
                await settle(pilot)
            await pilot.pause()
            app._look_at_runs()
        with contextlib.suppress(WorkerFailed):
            await settle(pilot)

        assert len(told(app)) == 1
        assert told(app)[0].startswith("runs root runs")


# Settings


async def test_a_setting_is_checked_while_it_is_typed_and_kept_only_when_right() -> None:
    app = app_with(start="settings")
    async with app.run_test() as pilot:
        await pilot.press("j", "j", "enter")
        assert isinstance(app.screen, EditSetting)
        await pilot.press(*"ftp", "enter")
        assert app.screen.has_class("-bad")
        app.screen.query_one(Input).value = "https://s3.example.org"
        await pilot.press("enter")

        assert app.settings.endpoint_url == "https://s3.example.org"
        assert app.settings.origins["endpoint_url"] == "file"
        assert "s3.example.org" in Path("config/settings.toml").read_text()


async def test_a_data_root_that_is_a_file_is_refused_in_place() -> None:
    Path("taken").write_text("")
    app = app_with(start="settings")
    async with app.run_test() as pilot:
        await pilot.press("enter")
        app.screen.query_one(Input).value = "taken"
        await pilot.pause()

        assert app.screen.has_class("-bad")
        assert "is a file" in str(app.screen.query_one(".verdict").content)  # type: ignore[attr-defined]


async def test_the_theme_shows_while_it_is_chosen_and_esc_takes_it_back() -> None:
    app = app_with(start="settings")
    async with app.run_test() as pilot:
        await pilot.press("j", "j", "j", "j", "enter")
        assert isinstance(app.screen, ChooseSetting)
        await pilot.press("j")
        assert app.theme == "cellmap-light"
        await pilot.press("escape")
        assert app.theme == "cellmap-dark"
        await pilot.press("enter", "j", "enter")

        assert app.settings.theme == app.theme == "cellmap-light"


async def test_a_new_runs_root_shows_its_own_runs() -> None:
    app = app_with(run_of("a", "done"))
    async with app.run_test() as pilot:
        await settle(pilot)
        assert len(app.runs) == 1
        app.settings = replace(app.settings, runs_root=Path("elsewhere"))
        await settle(pilot)

        assert app.runs == ()


# Doctor


async def test_the_doctor_shows_checks_with_the_remedy_of_the_one_under_the_cursor() -> None:
    app = app_with(start="doctor")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("G")
        await pilot.pause()

        assert "free some, or choose another data root" in str(app.screen.query_one("#remedy").content)  # type: ignore[attr-defined]


async def test_the_doctor_exports_its_report_as_json() -> None:
    app = app_with(start="doctor")
    async with app.run_test(notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await settle(pilot)

        assert told(app) == ["Wrote config/doctor.json"]
        assert [check["status"] for check in json.loads(Path("config/doctor.json").read_text())["checks"]] == [
            "ok",
            "ok",
            "note",
            "problem",
        ]


async def test_esc_on_the_doctor_goes_back_to_the_screen_before() -> None:
    app = app_with(start="settings")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("d")
        assert app.current_mode == "doctor"
        await pilot.press("escape")

        assert app.current_mode == "settings"


# Errors and data


async def test_a_toast_never_reads_data_as_markup() -> None:
    app = app_with()
    async with app.run_test(notifications=True) as pilot:
        app.notify("crop [bold]x[/] \x1b[31m")
        await pilot.pause()

        assert told(app) == ["crop [bold]x[/] ·[31m"]


async def test_a_failed_worker_of_a_screen_is_a_toast_and_no_traceback() -> None:
    app = app_with()

    def fail() -> None:
        raise RequestError("no such thing", "name another")

    async with app.run_test(notifications=True) as pilot:
        app.screen.run_worker(fail, thread=True, exit_on_error=False)
        await settle(pilot)

        assert told(app) == ["no such thing\nname another"]


async def test_names_with_brackets_and_escape_bytes_are_shown_as_they_are() -> None:
    evil = run_of("20251009T084500Z-x", "done", command="[red]evil[/] \x1b]0;x\x07", message="[b]hi")
    app = app_with(evil)
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        assert "[red]" in str(app.screen.query_one("#latest", OptionList).get_option_at_index(0).prompt)
        await pilot.press("8")
        await settle(pilot)
        await pilot.press("colon", *"evil")
        await settle(pilot)


async def test_a_log_follows_its_end_until_the_user_scrolls_up() -> None:
    run = run_of("20251009T085200Z-demo-000001", "running")
    events: list[dict[str, object]] = [{"event": "note", "message": f"line {index}"} for index in range(100)]
    write_log(run, events)
    app = app_with(run, start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await settle(pilot)
        log = app.screen.query_one(RunLog)
        assert log.is_vertical_scroll_end
        await pilot.resize_terminal(100, 40)
        await settle(pilot)
        assert log.is_vertical_scroll_end
        write_log(run, [*events, *events])
        log._look_again()
        await settle(pilot)
        assert len(log.lines) == 200
        assert log.is_vertical_scroll_end
        log.focus()
        await pilot.press("k")
        top = log.scroll_offset.y
        write_log(run, [*events, *events, *events])
        log._look_again()
        await settle(pilot)

        assert log.scroll_offset.y == top


async def test_a_wider_terminal_shows_more_of_the_run() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        assert "folder" not in str(app.screen.query_one("#details Static").content)  # type: ignore[attr-defined]
        await pilot.resize_terminal(160, 50)
        await settle(pilot)

        assert "folder" in str(app.screen.query_one("#details Static").content)  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["question_mark", "colon", "x", "P", "ctrl+o"])
async def test_every_window_survives_any_size(key: str) -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press(key)
        for size in ((20, 5), (1, 1), (60, 16), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()


async def test_every_theme_can_be_used() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        for name in app.available_themes:
            app.theme = name
            await pilot.pause()


async def test_an_enlarged_pane_keeps_the_focus_to_itself() -> None:
    app = app_with(*all_states(), start="runs")
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("z", "tab")

        assert app.focused in app.screen.query("#list VirtualTable")


async def test_the_end_of_a_run_is_told_on_every_screen() -> None:
    app = app_with(start="settings")
    async with app.run_test(notifications=True) as pilot:
        await settle(pilot)
        app.runs = (run_of("a", "running"), run_of("b", "running", command="import"), run_of("c", "done"))
        app.runs = (
            run_of("a", "done"),
            run_of("b", "failed", command="import", message="no [x]"),
            run_of("c", "done"),
        )
        await pilot.pause()

        assert told(app) == [
            "✓ demo is done after 1 min 00 s; on the home screen, b opens its data",
            "✗ import failed: no [x]",
        ]


async def test_a_look_at_the_runs_while_the_app_ends_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with()
    async with app.run_test():
        with monkeypatch.context() as ending:
            ending.setattr(app, "_screen_stacks", {app.current_mode: []})
            app._look_at_runs()
