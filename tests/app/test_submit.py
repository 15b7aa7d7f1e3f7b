"""The submission screen: what is there, what a gap costs, packing by keys, the log."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellmap_tui.app.screens.fetch import FetchScreen
from cellmap_tui.app.screens.predict import PredictScreen
from cellmap_tui.app.screens.start import StartWork
from cellmap_tui.app.screens.submit import SubmissionTable, SubmitScreen, first_options
from cellmap_tui.app.submit_words import SIGNS, STATES, state_counts
from cellmap_tui.app.widgets.coverage_matrix import CoverageMatrix
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.pack import pack_results
from cellmap_tui.services.pack_coverage import Fix, coverage
from cellmap_tui.services.pack_model import PackRequest
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.submissions import list_submissions, note_upload
from cellmap_tui.volumes.write import write_array
from tests.app.builders import app_with, settings_at
from tests.app.small_data import at_rest

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
MANIFEST = """crop_name,dataset,class_label,voxel_size,translation,shape
1,jrc_a,mito,[8;8;8],[0;0;0],[16;16;16]
1,jrc_a,er,[8;8;8],[0;0;0],[16;16;16]
2,jrc_b,mito,[8;8;8],[0;0;0],[16;16;16]
2,jrc_b,nuc,[8;8;8],[0;0;0],[16;16;16]
"""
GRID = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (16, 16, 16))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("CSC_TEST_CROP_MANIFEST_URL", "test_manifest.csv")
    monkeypatch.setenv("TZ", "UTC")
    Path("test_manifest.csv").write_text(MANIFEST)
    labels = np.zeros((16, 16, 16), np.uint16)
    labels[4:8, 4:8, 4:8] = 300
    write_array(Path("data/processed/jrc_a.zarr/crop1/mito"), labels, GRID)
    write_array(Path("data/processed/jrc_a.zarr/crop1/er"), np.zeros_like(labels), GRID)
    write_array(
        Path("data/processed/jrc_b.zarr/crop2/mito"),
        labels[:8],
        Grid(GRID.voxel_size_nm, GRID.translation_nm, (8, 16, 16)),
    )


async def opened(pilot):
    await at_rest(pilot)
    while isinstance(pilot.app.screen, SubmitScreen) and pilot.app.screen._coverage is None:
        await pilot.pause(0.01)
    await at_rest(pilot)


async def press(pilot, *keys):
    for key in keys:
        await pilot.press(key)
        await at_rest(pilot)


def signs(app):
    counts = app.screen.query_one(CoverageMatrix)._counts
    return {
        (crop, label): SIGNS[STATES[counts.counts[row][column]]]
        for row, label in enumerate(counts.classes)
        for column, crop in enumerate(counts.datasets)
    }


async def test_the_matrix_says_what_is_there():
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert signs(pilot.app) == {
            ("crop1", "mito"): "#",
            ("crop1", "er"): "o",
            ("crop2", "mito"): "!",
            ("crop2", "nuc"): ".",
            ("crop1", "nuc"): "",
            ("crop2", "er"): "",
        }


async def test_a_gap_names_its_cost_and_the_command_that_fills_it():
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        app = pilot.app
        matrix = app.screen.query_one(CoverageMatrix)
        matrix.go_to("nuc")
        matrix.column = 1
        await at_rest(pilot)
        words = app.screen.query_one("#volume").content.plain
        assert "crop2/nuc" in words
        assert ". missing" in words
        assert "⏎" in words
        cell = app.screen._cell()[2]
        assert cell.cost in words
        assert cell.fix.command in words


async def test_one_key_on_a_gap_hands_its_crop_to_the_step_that_fills_it(monkeypatch):
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        screen, asked = pilot.app.screen, []
        monkeypatch.setattr(pilot.app, "open_mode", lambda *words: asked.append(words))
        screen.query_one(CoverageMatrix).go_to("nuc")
        screen.query_one(CoverageMatrix).column = 1
        await at_rest(pilot)
        crop, label, cell = screen._cell()
        await press(pilot, "enter")
        with_em = replace(cell, fix=Fix("predict", "predict --crops 2", "it is not predicted here"))
        monkeypatch.setattr(screen, "_cell", lambda: (crop, label, with_em))
        await press(pilot, "enter")
        assert asked == [("fetch", {"crops": ("jrc_b/crop2",)}), ("predict", {"crops": "jrc_b/crop2"})]


@pytest.mark.parametrize("kind", [FetchScreen, PredictScreen])
def test_a_screen_that_fills_a_gap_answers_for_its_keys_before_it_is_there(kind):
    screen = kind()
    assert not screen.is_live_shown
    assert screen.chosen_run() is None
    assert not screen.check_action("view", ())


async def test_n_shows_the_plan_of_packing_with_gaps_as_zeros():
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "n")
        assert isinstance(pilot.app.screen, StartWork)
        request = pilot.app.screen._request
        assert request.fill_missing == "zeros"
        assert request.output == Path("data/submission.zip").absolute()
        await press(pilot, "escape", "i", "j", "j", "enter", "n")
        assert pilot.app.screen._request.fill_missing == "none"


async def test_without_a_zip_there_is_nothing_to_check():
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "V")
        assert isinstance(pilot.app.screen, SubmitScreen)
        assert any("does not exist" in note.message for note in pilot.app._notifications)


async def test_uploads_and_returned_scores_are_noted_in_the_log():
    settings = settings_at()
    request = PackRequest(fill_missing="zeros", data_root=Path("data").absolute(), state_dir=settings.state_dir)
    pack_results(request, SilentReporter())
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "t", "m", "enter")
        await press(pilot, "i", *"0", "full_stop", *"41", "enter")
        (row,) = list_submissions(settings.state_dir)
        assert [upload.note for upload in row.uploads] == ["handed in"]
        assert row.score("returned").overall == 0.41
        await press(pilot, "i", *"none", "enter")
        assert any("none" in note.message for note in pilot.app._notifications)
        assert pilot.app.screen.query_one(SubmissionTable).highlighted.score("returned").overall == 0.41


async def test_a_folder_that_is_not_there_is_told_in_the_pane():
    async with app_with(start="submit").run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "i", "enter", *"nowhere", "enter")
        assert pilot.app.screen.query_one("#volumes").has_class("-failed")


def test_a_demo_knows_its_test_crops_truth_and_stand_in(tmp_path):
    demo(DemoRequest(tmp_path / "demo", size="tiny", make_only=True, user_data_root=tmp_path / "u"), SilentReporter())
    (tmp_path / "demo" / "stand-in").mkdir()
    options = first_options(settings_at(tmp_path / "demo"))
    assert options.test_manifest == str(tmp_path / "demo" / "test_manifest.csv")
    assert options.truth.endswith("ground_truth.zarr")
    assert "stand-in" in options.predictions
    assert first_options(settings_at(tmp_path)).test_manifest == ""


@SIZES
def test_the_submission_screen(snap_compare, size) -> None:
    settings = settings_at()
    request = PackRequest(fill_missing="zeros", data_root=Path("data").absolute(), state_dir=settings.state_dir)
    pack_results(request, SilentReporter())
    log = settings.state_dir / "submissions.jsonl"
    text = re.sub(r'"time": [0-9.]+', '"time": 1760000000.0', log.read_text())
    log.write_text(re.sub(r'"path": "[^"]+"', '"path": "/data/submission.zip"', text))
    note_upload(settings.state_dir, "latest", note="first try", time_s=1_760_003_600.0)

    async def at_the_gap(pilot):
        await opened(pilot)
        pilot.app.screen.query_one(CoverageMatrix).go_to("nuc")
        await press(pilot, "right")

    assert snap_compare(app_with(start="submit"), terminal_size=size, run_before=at_the_gap)


def test_every_state_has_a_sign() -> None:
    found = coverage(PackRequest(data_root=Path("data").absolute(), state_dir=Path("state").absolute()))
    assert set(SIGNS) == set(STATES)
    assert {value for row in state_counts(found).counts for value in row} <= set(range(len(STATES)))
