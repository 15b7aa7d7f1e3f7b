"""From the browser to a fetch and back: the key, the live column, the badge, the check of a crop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.live_presence import LOOK_S, PresenceWatch
from cellmap_tui.app.screens.crop import CropScreen
from cellmap_tui.app.screens.fetch import FetchScreen
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.app.widgets.crop_details import CropDetails
from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.challenge.layout import label_path
from cellmap_tui.services.empty_labels import remember_empty_labels
from cellmap_tui.services.fetch_state import new_state_folder, write_state
from tests.app.builders import app_with, run_of, settings_at
from tests.app.fetch_parts import RUN_ID, crop_state, plan_of, plan_with, state_of
from tests.app.small_data import at_rest
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from cellmap_tui.app.app import CellmapApp
    from cellmap_tui.services.fetch_model import FetchRequest

REF = "jrc_cos7-1a/crop234"


@pytest.fixture(autouse=True)
def _plans_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_with(monkeypatch, lambda request, report: plan_of(request))


def data_app(**changes: object) -> CellmapApp:
    return app_with(start="data", options={"crop": REF}, **changes)  # type: ignore[arg-type]


async def test_f_plans_the_crop_in_hand() -> None:
    app = data_app()
    async with app.run_test() as pilot:
        await at_rest(pilot)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FetchScreen) and app.screen.plan is not None)

        assert isinstance(app.screen, FetchScreen)
        assert app.screen.form.crops == (REF,)


async def test_f_plans_the_marked_crops_wherever_the_cursor_is() -> None:
    app = data_app()
    async with app.run_test() as pilot:
        await at_rest(pilot)
        await pilot.press("space", "space", "G", "f")
        await until(pilot, lambda: isinstance(app.screen, FetchScreen) and app.screen.plan is not None)

        assert isinstance(app.screen, FetchScreen)
        assert len(app.screen.form.crops) == 2
        assert set(app.screen.form.crops) == app.marked_crops


async def test_the_local_column_follows_a_fetch() -> None:
    run = run_of(RUN_ID, "running", command="fetch-data", done=1.0, total=2.0, unit="bytes")
    app = data_app()
    async with app.run_test() as pilot:
        await at_rest(pilot)
        table = app.screen.crops  # type: ignore[attr-defined]
        assert table.highlighted.share == 0
        begin_to_fetch()
        app._watch.fixed = (run,)  # type: ignore[attr-defined]
        await until(pilot, lambda: table.highlighted.share > 0)

        assert table.highlighted.crop.ref == REF
        assert any("◐" in table.render_line(y).text for y in range(table.size.height))


def begin_to_fetch() -> None:
    """Leave on disk what a fetch has made of a crop's first class."""
    crop = builtin_catalog().find(REF)
    (Path("data") / label_path(crop, crop.classes[0]) / "s0").mkdir(parents=True)
    (Path("data") / label_path(crop, crop.classes[0]) / ".zattrs").write_text("{}")
    folder = new_state_folder(Path("data"), plan_of(_request()))
    write_state(folder, state_of(crop_state(REF, "fetching", 3, 1000)))


def _request() -> FetchRequest:
    from cellmap_tui.app.fetch_form import FetchForm

    return FetchForm(crops=(REF,)).request(settings_at())


def test_the_disk_is_asked_when_a_fetch_has_made_progress_and_not_too_often() -> None:
    watch = PresenceWatch()
    first, second, third = (run_of(RUN_ID, "running", command="fetch-data", done=done) for done in (1.0, 2.0, 3.0))

    assert watch.is_due([first], 10.0)
    assert not watch.is_due([first], 20.0)
    assert watch.is_due([second], 20.0)
    assert not watch.is_due([third], 20.0 + LOOK_S / 2)
    assert watch.is_due([third], 20.0 + LOOK_S)
    assert not watch.is_due([run_of(RUN_ID, "done", command="fetch-data", done=4.0)], 40.0)
    assert not watch.is_due([run_of("a", "running", command="demo", done=4.0)], 50.0)


async def test_classes_that_are_empty_in_the_bucket_have_a_badge_before_anything_is_here() -> None:
    settings = settings_at()
    remember_empty_labels(settings.state_dir, {REF: ("mito_ribo",)}, bucket=settings.bucket)
    app = data_app(settings=settings)
    async with app.run_test() as pilot:
        await at_rest(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CropScreen) and bool(app.screen.query(CropDetails)))
        table = app.screen.query_one(CropDetails).table
        await until(pilot, lambda: table.go_to("mito_ribo"))

        assert table.highlighted is not None
        assert table.highlighted.is_empty_remote
        assert [item.name for item in table.index.rows if item.is_empty_remote] == ["mito_ribo"]


@pytest.mark.parametrize(("key", "repair"), [("V", False), ("R", True)])
async def test_a_crop_is_checked_and_repaired_by_a_job_after_a_question(
    key: str, repair: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, bool]] = []

    def start(settings: object, ref: str, *, repair: bool) -> str:
        started.append((ref, repair))
        return "a-run"

    monkeypatch.setattr("cellmap_tui.app.crop_actions.start_verify", start)
    begin_to_fetch()
    app = data_app()
    async with app.run_test() as pilot:
        await at_rest(pilot)
        await pilot.press("enter")
        await at_rest(pilot)
        await pilot.press(key)
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: app.current_mode == "runs")

        assert started == [(REF, repair)]


async def test_a_crop_that_is_not_here_is_not_checked() -> None:
    app = data_app()
    async with app.run_test() as pilot:
        await at_rest(pilot)
        await pilot.press("enter")
        await at_rest(pilot)

        assert isinstance(app.screen, CropScreen)
        assert not app.screen.check_action("verify", (False,))
        assert app.screen.check_action("fetch", ())
