"""The plan page: what is proposed, its configurations before they are written, and writing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.plan_form import PlanForm
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.plan import ConfigText, PlanScreen
from cellmap_tui.app.screens.train import TrainScreen
from cellmap_tui.app.split_form import SplitForm
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.services.config import ConfigSource, open_config
from tests.app.builders import app_with, settings_at
from tests.app.test_train import settled as train_settled
from tests.app.test_train import write_crops

if TYPE_CHECKING:
    from textual.pilot import Pilot

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr("cellmap_tui.services.propose_gpu._seen", lambda probes: [])


async def settled(pilot: Pilot[None]) -> PlanScreen:
    """Wait until the page on top has come to rest."""
    while True:
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        screen = pilot.app.screen
        if not isinstance(screen, PlanScreen) or screen.result is not None or screen.query(ErrorView):
            return screen  # type: ignore[return-value]
        await pilot.pause(0.01)


async def opened(pilot: Pilot[None], *keys: str) -> PlanScreen:
    """Open the page from the split and press keys there."""
    await train_settled(pilot)
    await pilot.press("P")
    await settled(pilot)
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
    return await settled(pilot)


async def test_the_classes_of_the_split_are_planned_and_another_gpu_gives_another_plan() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        assert screen.result is not None
        assert {target.name for group in screen.result.groups for target in group.targets} == {"nuc", "er"}
        assert screen.result.gpu_memory_gb == 24
        screen = await opened_again(pilot, "m", "G", "enter")
        assert screen.form.gpu == "80"
        assert screen.result is not None
        assert screen.result.gpu_memory_gb == 80


async def opened_again(pilot: Pilot[None], *keys: str) -> PlanScreen:
    """Press keys on the page that is open."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
    return await settled(pilot)


async def test_a_configuration_is_shown_with_its_reasons_and_nothing_is_written() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(80, 24)) as pilot:
        await opened(pilot, "enter")
        page = pilot.app.screen
        assert isinstance(page, ConfigText)
        assert "classes = [" in page._text
        assert page._text.startswith("# ")
        await pilot.press("escape")
        assert isinstance(await settled(pilot), PlanScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(pilot.app.screen, TrainScreen)
        assert not list(Path().rglob("*.toml"))


async def test_configurations_are_written_where_asked_and_replaced_only_after_a_yes() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "w", "enter")
        assert screen.result is not None
        files = sorted(Path("plans").glob("*.toml"))
        assert [file.name for file in files] == sorted(f"train_{group.name}.toml" for group in screen.result.groups)
        config = open_config(ConfigSource(files[0], state_dir=Path("state"), data_root=Path("data"))).config
        assert set(config.classes) <= {"nuc", "er"}
        files[0].write_text("mine = 1\n")
        await opened_again(pilot, "w", "enter")
        assert isinstance(pilot.app.screen, Confirm)
        await opened_again(pilot, "n")
        assert files[0].read_text() == "mine = 1\n"
        await opened_again(pilot, "w", "enter", "y")
        assert "classes" in files[0].read_text()


async def test_options_are_checked_before_the_plan_is_made_again() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "n")
        window = pilot.app.screen
        assert isinstance(window, FillIn)
        window.form = PlanForm(groups=99)
        window._show()
        await pilot.press("n")
        await pilot.pause()
        assert pilot.app.screen is window
        window.form = PlanForm(classes=("er",))
        window._show()
        await pilot.press("n")
        screen = await settled(pilot)
        assert screen.result is not None
        assert [target.name for group in screen.result.groups for target in group.targets] == ["er"]


async def test_what_nobody_annotated_is_named_with_the_reason() -> None:
    write_crops()
    async with app_with(start="train").run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        screen._take(PlanForm(classes=("nuc", "mt")))
        screen = await settled(pilot)
        assert screen.result is not None
        assert [out.name for out in screen.result.left_out] == ["mt"]
        screen._take(PlanForm(classes=("mt",)))
        screen = await settled(pilot)
        assert "nothing can be learned" in str(screen.query_one(ErrorView).render())
        assert not screen.check_action("write", ())


def test_a_split_that_is_written_is_planned_with_its_crops(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert PlanForm.of_split(SplitForm(csv_path=str(path), crops="1-3")).crops == "1-3"
    path.write_text("")
    form = PlanForm.of_split(SplitForm(csv_path=str(path), crops="1-3", classes=("*",)))
    assert (form.datasplit, form.crops, form.classes) == (str(path), "", ())
    assert form.request(settings_at()).datasplit == path


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_a_plan(snap_compare, size, theme) -> None:
    write_crops()

    async def before(pilot):
        screen = await opened(pilot)
        screen._take(PlanForm(classes=("nuc", "er", "mt")))
        await settled(pilot)

    app = app_with(settings=settings_at(theme=theme), start="train")
    assert snap_compare(app, terminal_size=size, run_before=before)


@SIZES
def test_the_options_of_a_plan(snap_compare, size) -> None:
    write_crops()

    async def before(pilot):
        await opened(pilot, "n", "j")

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=before)


@SIZES
def test_a_configuration_of_a_plan(snap_compare, size) -> None:
    write_crops()

    async def before(pilot):
        await opened(pilot, "enter")

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=before)


@SIZES
def test_a_plan_without_data(snap_compare, size) -> None:
    async def before(pilot):
        screen = await opened(pilot)
        screen._take(PlanForm(classes=("ribo",), crops="all"))
        await settled(pilot)

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=before)
