"""The patches page: what a job has drawn is looked at, another job is started, followed and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.patch_form import PatchForm
from cellmap_tui.app.runs_watch import RunsWatch
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.patches import PatchesScreen
from cellmap_tui.app.split_form import SplitForm
from cellmap_tui.app.widgets.error_view import ErrorView
from cellmap_tui.challenge.datasplit import Split, SplitRow, write_split
from tests.app.builders import app_with, run_of, settings_at
from tests.app.patch_parts import drawn_run, write_looks
from tests.app.test_train import settled as train_settled
from tests.app.test_train import write_crops

if TYPE_CHECKING:
    from textual.pilot import Pilot

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


async def at_rest(pilot: Pilot[None]) -> PatchesScreen:
    """Wait until nothing is read or drawn any more."""
    while True:
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        screen = pilot.app.screen
        if not isinstance(screen, PatchesScreen):
            return screen  # type: ignore[return-value]
        is_drawn = screen.drawn is None or (screen.view.look.plane is not None and bool(screen.view._strips))
        if is_drawn and not any(worker.is_running for worker in pilot.app.workers):
            return screen
        await pilot.pause(0.01)


async def opened(pilot: Pilot[None], *keys: str) -> PatchesScreen:
    """Open the page from the split, wait for the patches of the run that there is, and press keys."""
    await train_settled(pilot)
    while pilot.app._watch.poll() and not pilot.app.runs:
        await pilot.pause(0.01)
    await pilot.press("B")
    screen = await at_rest(pilot)
    while any(run.state == "done" for run in pilot.app.runs) and screen.drawn is None and not screen.query(ErrorView):
        await pilot.pause(0.01)
    return await pressed(pilot, *keys)


async def pressed(pilot: Pilot[None], *keys: str) -> PatchesScreen:
    for key in keys:
        await pilot.press(key)
        await at_rest(pilot)
    return await at_rest(pilot)


def title(screen: PatchesScreen) -> str:
    return str(screen.query_one("#picture").border_title)


async def test_the_newest_patches_are_shown_at_the_plane_with_most_of_what_they_were_drawn_for() -> None:
    run = drawn_run()
    async with app_with(run, start="train").run_test(size=(160, 50)) as pilot:
        screen = await opened(pilot)
        assert screen.drawn is not None
        assert screen.view.look.plane == 11
        assert "patch 1 of 3" in title(screen)
        await pressed(pilot, "]", "]", "{")
        assert screen.view.look.plane == 3
        await pressed(pilot, "l", "l", "l")
        assert "patch 3 of 3" in title(screen)
        await pressed(pilot, "h")
        assert "mine/crop2" in title(screen)


async def test_classes_are_shown_one_by_one_and_augmentation_is_turned_off() -> None:
    async with app_with(drawn_run(), start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        before = [str(strip) for strip in screen.view._strips]
        await pressed(pilot, "m")
        assert not screen.view.look.is_varied
        assert [str(strip) for strip in screen.view._strips] != before
        seen = []
        for _ in range(4):
            await pressed(pilot, "s")
            seen.append(screen.view.look.column)
        assert seen == [0, 1, 2, None]
        await pressed(pilot, "t")
        assert screen.view.look.axis == 1


async def test_flat_patches_have_no_axis_to_choose_and_plain_ones_no_augmentation() -> None:
    async with app_with(drawn_run((1, 24, 32), varied=False), start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert screen.view.look.axis == 0
        assert not screen.view.check_action("axis", ())
        assert not screen.view.check_action("varied", ())


async def test_a_damaged_file_is_told_with_what_to_do() -> None:
    run = drawn_run()
    (run.path / "patches.npz").write_bytes(b"PK not really")
    async with app_with(run, start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert "draw the patches again" in str(screen.query_one(ErrorView).render())


async def test_a_job_that_failed_says_why_in_place_of_the_picture() -> None:
    failed = run_of("20251009T085000Z-patches-00000b", "failed", command="patches", message="mito is not named")
    async with app_with(failed, start="train").run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        screen.post_message(PatchesScreen.Started(failed.run_id))
        while not screen.query(ErrorView):
            await pilot.pause(0.01)
        assert "mito is not named" in str(screen.query_one(ErrorView).render())


async def test_nothing_is_drawn_before_a_split_is_named() -> None:
    async with app_with(start="train").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("n", "n")
        await pilot.pause()
        window = pilot.app.screen
        assert isinstance(window, FillIn)
        assert "no split is chosen" in str(window.query_one(".verdict").render())
        await pilot.press("escape")
        await at_rest(pilot)
        assert not Path("runs").exists()


def test_the_form_asks_for_the_split_that_is_written(tmp_path) -> None:
    path = tmp_path / "x.csv"
    assert PatchForm.of_split(SplitForm(csv_path=str(path))).source == ""
    path.write_text("")
    form = PatchForm.of_split(SplitForm(csv_path=str(path), scale_nm=(16.0, 16.0, 16.0)))
    request = form.request(settings_at(tmp_path))
    assert (request.split, request.voxel_size_nm, request.classes) == (path, (16.0, 16.0, 16.0), ("nuc", "er"))
    assert PatchForm.of_request(request).request(settings_at(tmp_path)) == request


@pytest.mark.slow
async def test_a_job_builds_the_bank_and_its_patches_appear() -> None:
    write_crops()
    root = Path("data/mine/mine.zarr").absolute()
    em, labels = "recon-1/em/fibsem-uint8", "recon-1/labels/groundtruth/crop{}"
    rows = [SplitRow("train", str(root), em, str(root), labels.format(number), ("nuc", "er")) for number in (1, 2)]
    write_split(Path("datasplit.csv"), Split(tuple(rows)))
    app = app_with(settings=settings_at(Path.cwd()), start="train")
    app._watch = RunsWatch(app.settings.runs_root)
    async with app.run_test(size=(160, 50)) as pilot:
        await train_settled(pilot)
        await pilot.press("B")
        await pilot.pause()
        screen = pilot.app.screen
        assert isinstance(screen, PatchesScreen)
        screen._begin(PatchForm(source="datasplit.csv", shape=(8, 12, 12), count=4))
        while screen.drawn is None and not screen.query(ErrorView):
            await pilot.pause(0.05)
        await at_rest(pilot)
        assert screen.drawn is not None
        assert screen.drawn.result.patches >= 4
        assert screen.drawn.looks.shape == (8, 12, 12)
        assert screen.drawn.looks.varied is not None
        first = screen.drawn.run_id
        await pilot.press("r")
        while screen.drawn.run_id == first and not screen.query(ErrorView):
            await pilot.pause(0.05)
        assert screen.drawn.request.epoch == 1


@SIZES
@pytest.mark.parametrize("theme", ["cellmap-dark", "cellmap-light"])
def test_patches(snap_compare, size, theme) -> None:
    app = app_with(drawn_run(), settings=settings_at(theme=theme), start="train")

    async def before(pilot):
        await opened(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)


@SIZES
def test_one_class_of_a_patch_of_a_long_name(snap_compare, size) -> None:
    async def before(pilot):
        await opened(pilot, "l", "l", "s")

    assert snap_compare(app_with(drawn_run(), start="train"), terminal_size=size, run_before=before)


@SIZES
def test_what_is_asked_for_patches(snap_compare, size) -> None:
    async def before(pilot):
        await opened(pilot, "n", "j", "j", "j")

    assert snap_compare(app_with(start="train"), terminal_size=size, run_before=before)


@SIZES
def test_a_job_that_draws(snap_compare, size) -> None:
    run_id = "20251009T085100Z-patches-00000c"
    run = run_of(run_id, "running", command="patches", done=7e6, total=25e6, unit="voxels", message="mine/crop1")

    async def before(pilot):
        screen = await opened(pilot)
        screen.post_message(PatchesScreen.Started(run_id))
        await at_rest(pilot)

    assert snap_compare(app_with(run, start="train"), terminal_size=size, run_before=before)


def test_patches_are_kept_whole_or_not_at_all(tmp_path) -> None:
    from cellmap_tui.errors import DataError, MissingDataError
    from cellmap_tui.services.patch_looks import read_looks

    path = tmp_path / "patches.npz"
    with pytest.raises(MissingDataError):
        read_looks(path)
    write_looks(path, (4, 16, 16))
    data = path.read_bytes()
    assert read_looks(path).shape == (4, 16, 16)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read_looks(path)
