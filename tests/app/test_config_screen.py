"""The form of a configuration as a user meets it: typing, choosing, undoing, saving, losing the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from cellmap_tui.app.config_draft import read_draft
from cellmap_tui.app.screens.config import ConfigScreen
from cellmap_tui.app.screens.preflight import Outcome, PreflightScreen
from cellmap_tui.app.screens.trust import TrustQuestion
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.filter_bar import FilterBar
from cellmap_tui.app.widgets.pick import Pick
from tests.app.config_parts import about, app_of_form, go_to, opened, request_of, row_of, settled, typed, write_config
from tests.app.test_live_jobs import until

SMALL, LARGE = (80, 24), (160, 50)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])
STATE = Path("state")


def answer_with(monkeypatch, outcome: Outcome) -> None:
    """Let the page before a training answer at once, without a job."""

    def answer(page: PreflightScreen) -> None:
        page.dismiss(outcome)

    monkeypatch.setattr(PreflightScreen, "on_mount", lambda page: page.call_after_refresh(answer, page) and None)


async def test_what_is_wrong_is_said_while_it_is_typed() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "learning_rate", "0.0x")
        assert "not a number" in about(screen)
        screen.line.value = "0.01"
        await settled(pilot, screen)
        assert "can be kept" in about(screen)
        await pilot.press("enter")
        await settled(pilot, screen)
        row = row_of(screen, "learning_rate")
        assert (row.value, row.origin, row.problem) == ("0.01", "here", "")
        assert screen.table.has_focus


async def test_what_a_value_does_to_another_key_is_said_too() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config("warmup_epochs = 20\nepochs = 40\n")))
        await typed(pilot, screen, "epochs", "10")
        assert "then warmup_epochs" in about(screen)


async def test_a_wrong_value_is_kept_and_nothing_starts() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "epochs", "many")
        await pilot.press("enter")
        await settled(pilot, screen)
        await pilot.press("home", "n")
        await pilot.pause()
        assert pilot.app.screen is screen
        assert screen.table.highlighted.name == "epochs"
        assert row_of(screen, "epochs").value == "many"


async def test_escape_leaves_the_value_and_undo_brings_back_what_was_typed() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "epochs", "77")
        await pilot.press("escape")
        await settled(pilot, screen)
        assert pilot.app.screen is screen
        assert row_of(screen, "epochs").value == "40"
        await pilot.press("u")
        await settled(pilot, screen)
        assert row_of(screen, "epochs").value == "77"


async def test_an_empty_line_x_and_undo_take_a_change_back() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        for key, text in (("epochs", "50"), ("batch_size", "2")):
            await typed(pilot, screen, key, text)
            await pilot.press("enter")
            await settled(pilot, screen)
        await typed(pilot, screen, "epochs", "")
        await pilot.press("enter")
        await settled(pilot, screen)
        assert row_of(screen, "epochs").origin == "line 4"
        await go_to(pilot, screen, "batch_size")
        await pilot.press("x")
        await settled(pilot, screen)
        assert row_of(screen, "batch_size").origin == "line 5"
        await pilot.press("u", "u")
        await settled(pilot, screen)
        assert row_of(screen, "epochs").value == "50"
        assert row_of(screen, "batch_size").value == "2"


async def test_a_line_that_is_closed_as_it_was_opened_changes_nothing() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await go_to(pilot, screen, "input_array_info")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot, screen)
        assert screen.draft.edits == ()
        assert not screen.check_action("undo", ())


async def test_closed_sets_are_chosen_from_a_list() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await go_to(pilot, screen, "precision")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Pick))
        await pilot.press("j", "enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settled(pilot, screen)
        assert row_of(screen, "precision").value == "bf16"


async def test_the_filter_finds_names_parts_words_and_states() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "epochs", "many")
        await pilot.press("enter")
        await settled(pilot, screen)

        async def found(text: str) -> list[str]:
            screen.query_one(FilterBar).text = text
            await settled(pilot, screen)
            return [screen.table.index.rows[number].name for number in screen.table.index.shown]

        assert await found("wrong") == ["epochs"]
        assert await found("batch_siz") == ["batch_size"]
        assert "cache_gb" in await found("machine")
        assert "learning_rate" in await found("set")


async def test_a_killed_terminal_loses_nothing_not_even_the_line_in_hand() -> None:
    request = request_of(write_config())
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request)
        await typed(pilot, screen, "batch_size", "3")
        await pilot.press("enter")
        await settled(pilot, screen)
        await typed(pilot, screen, "epochs", "12")
        # What is on disk now is all that a kill leaves.
        kept = read_draft(STATE, request)
        assert kept == screen.draft
        assert kept.typing == ("epochs", "12")
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request)
        await until(pilot, lambda: screen.line.has_focus)
        assert screen.line.value == "12"
        assert row_of(screen, "batch_size").value == "3"
        await pilot.press("enter")
        await settled(pilot, screen)
        assert row_of(screen, "epochs").value == "12"


async def test_without_a_request_the_form_shows_what_was_typed_last() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "epochs", "12")
        await pilot.press("enter")
        await settled(pilot, screen)
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert screen.draft.config == Path("mine.toml").absolute()
        assert row_of(screen, "epochs").value == "12"


async def test_a_split_of_this_session_is_filled_in() -> None:
    app = app_of_form()
    app.set_reactive(type(app).split_path, Path("split.csv").absolute())
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        assert row_of(screen, "datasplit_path").value.endswith("/split.csv")


async def test_saving_asks_where_and_again_before_it_replaces() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        path = write_config()
        screen = await opened(pilot, request_of(path, "batch_size=8"))
        await typed(pilot, screen, "epochs", "12")
        await pilot.press("enter")
        await settled(pilot, screen)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskText))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: "epochs = 12" in path.read_text())
        await until(pilot, lambda: screen.draft.edits == ())
        await settled(pilot, screen)
        assert "batch_size = 8" in path.read_text()
        assert row_of(screen, "epochs").origin.startswith("line ")
        await pilot.press("u")
        await settled(pilot, screen)
        assert row_of(screen, "epochs").origin == "here"


async def test_a_file_of_another_kind_is_not_written() -> None:
    async with app_of_form().run_test(size=SMALL) as pilot:
        await opened(pilot, request_of(write_config()))
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskText))
        pilot.app.screen.query_one(Input).value = "mine.py"
        await pilot.press("enter")
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        assert not Path("mine.py").exists()


async def test_python_asks_before_it_runs_and_no_leaves_it() -> None:
    path = write_config("import os\nepochs = 5\nmodel_name = '2d_unet'\n", "own.py")
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = ConfigScreen(request_of(path))
        await pilot.pause()
        pilot.app.push_screen(screen)
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert "2  epochs = 5" in str(pilot.app.screen.query_one("#code").content)
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert row_of(screen, "config").problem
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))
        await pilot.press("y")
        await until(pilot, lambda: not row_of(screen, "config").problem)
        assert row_of(screen, "epochs").origin == "line 2"


async def test_a_path_that_is_typed_runs_nothing_before_it_is_kept() -> None:
    write_config("epochs = 5\nmodel_name = '2d_unet'\n", "own.py")
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await typed(pilot, screen, "config", str(Path("own.py").absolute()))
        assert pilot.app.screen is screen
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrustQuestion))


async def test_the_run_that_was_started_is_the_answer(monkeypatch) -> None:
    answer_with(monkeypatch, Outcome(run_id="a-run"))
    answers: list[object] = []
    async with app_of_form().run_test(size=SMALL) as pilot:
        await opened(pilot, request_of(write_config()), answers)
        await pilot.press("n")
        await until(pilot, lambda: answers == ["a-run"])


async def test_a_finding_leads_back_to_its_key(monkeypatch) -> None:
    answer_with(monkeypatch, Outcome(key="batch_size"))
    async with app_of_form().run_test(size=SMALL) as pilot:
        screen = await opened(pilot, request_of(write_config()))
        await pilot.press("n")
        await until(pilot, lambda: screen.table.highlighted.name == "batch_size")
        assert pilot.app.screen is screen


async def test_names_and_values_of_a_file_are_never_markup() -> None:
    text = 'classes = ["[bold]x[/]\\u001b[31m"]\n"[red]key[/]" = 3\n'
    async with app_of_form().run_test(size=LARGE) as pilot:
        screen = await opened(pilot, request_of(write_config(text)))
        assert "[red]key[/]" in str(screen.query_one("#all").content)
        assert "\x1b" not in str(screen.query_one("#all").content)
