"""The pages over a live training: classes, heat map, slices, machine, comparison; keys in, visible text out."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from textual.widget import Widget
from textual.widgets import Input

from cellmap_tui.app.screens.live_classes import LiveClassesScreen
from cellmap_tui.app.screens.live_compare import LiveCompareScreen
from cellmap_tui.app.screens.live_heat import LiveHeatScreen
from cellmap_tui.app.screens.live_machine import LiveMachineScreen
from cellmap_tui.app.screens.live_samples import LiveSamplesScreen
from cellmap_tui.app.widgets.epoch_heat import EpochHeat
from cellmap_tui.app.widgets.small_multiples import SmallMultiples
from cellmap_tui.learning.samples import sample_folder
from tests.app.live_parts import (
    CLASSES,
    EVIL,
    OTHER,
    RUN,
    machine,
    opened,
    reading,
    still,
    text_of,
    train_app,
    write_samples,
    write_telemetry,
    write_training,
)
from tests.app.test_live_jobs import until

SMALL, LARGE = (80, 24), (160, 50)


async def press(pilot, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await still(pilot)


# Classes


async def test_classes_are_listed_the_worst_first_and_what_was_not_validated_apart() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveClassesScreen, RUN)

        assert [row.name for row in page.table.index.rows] == ["nuc", "er", "mito"]
        assert "1 in no validation crop: ves" in text_of(app)


async def test_the_table_turns_into_charts_and_back_where_there_is_no_room_for_both() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveClassesScreen, RUN)
        await press(pilot, "t")

        assert isinstance(page.focused, SmallMultiples)
        assert not page.table.is_on_screen
        await press(pilot, "t")
        assert page.focused is page.table


async def test_a_class_opens_its_slices() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveClassesScreen, RUN)
        await press(pilot, "j", "enter")

        page = pilot.app.screen
        assert isinstance(page, LiveSamplesScreen)
        assert page.view.shown.look.class_name == "er"


async def test_another_metric_is_told_by_its_own_change() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveClassesScreen, RUN)
        await press(pilot, "m")

        assert "lowest IoU first" in text_of(app)
        assert "Δ10ep IoU" in text_of(app)


@pytest.mark.parametrize("size", [(60, 16), LARGE])
@pytest.mark.parametrize(
    "page", [LiveClassesScreen, LiveHeatScreen, LiveSamplesScreen, LiveMachineScreen, LiveCompareScreen]
)
async def test_names_with_markup_and_escape_bytes_are_only_names(page, size) -> None:
    names = (EVIL, "a_very-long.class-name-that-somebody-will-import-one-day-0123456789", "er", "ves")
    write_training(classes=names)
    write_training(OTHER, classes=names, rate=0.01)
    write_samples(names=names)
    write_telemetry(RUN, machine(1, driver=EVIL, gpu_state=EVIL), reading(1))
    app = train_app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, page, RUN, OTHER)

        assert "\x1b" not in text_of(app)
        await press(pilot, "j", "s", "t", "m", "o")
        assert "\x1b" not in text_of(app)


# Heat map


async def test_the_heat_map_shows_every_class_and_names_the_cell() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveHeatScreen, RUN)

        shown = text_of(app)
        assert all(name in shown for name in CLASSES)
        assert "epoch 12" in shown


async def test_a_cell_of_the_heat_map_opens_the_slices_of_its_class_and_epoch() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveHeatScreen, RUN)
        page.query_one(EpochHeat).column = 5
        await press(pilot, "enter")

        page = pilot.app.screen
        assert isinstance(page, LiveSamplesScreen)
        assert (page.view.shown.look.class_name, page.view.shown.epoch) == ("er", 6)


async def test_the_heat_map_sorts_the_worst_first() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveHeatScreen, RUN)
        await press(pilot, "s", "g")

        assert page.query_one(EpochHeat).cell[0] == "nuc"


@pytest.mark.parametrize("page", [LiveClassesScreen, LiveHeatScreen, LiveSamplesScreen, LiveMachineScreen])
async def test_a_run_that_has_told_nothing_says_so(page) -> None:
    RUN.mkdir(parents=True)
    (RUN / "events.jsonl").write_text("")
    (RUN / "request.json").write_text('{"v": 1, "command": "train", "request": {}, "cwd": "."}')
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, page, RUN)

        assert any(words in text_of(app) for words in ("nothing", "no slices", "has left no", "no step"))


# Slices


async def test_slices_are_scrubbed_through_epochs() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)
        assert page.view.shown.epoch == 12

        await press(pilot, "left_square_bracket")
        assert page.view.shown.epoch == 6
        await press(pilot, "left_square_bracket", "left_square_bracket", "left_square_bracket")
        assert page.view.shown.epoch == 1
        assert "epoch 1, step 10" in text_of(app)


async def test_the_newest_epoch_is_followed_until_somebody_scrubs_back() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)
        write_samples(epochs=(13,))
        page._search()
        await still(pilot)
        assert page.view.shown.epoch == 13

        await press(pilot, "left_square_bracket")
        write_samples(epochs=(14,))
        page._search()
        await still(pilot)
        assert page.view.shown.epoch == 12
        await press(pilot, "F")
        assert page.view.shown.epoch == 14


async def test_slices_classes_panels_and_overlays_go_round() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)
        first = page.view.look.name

        await press(pilot, "l")
        assert page.view.shown.sample.axis != "y" or page.view.look.name != first
        seen = []
        for _ in range(len(CLASSES) + 1):
            await press(pilot, "s")
            seen.append(page.view.shown.look.class_name)
        assert seen == [*CLASSES, None]
        await press(pilot, "m")
        assert "raw" not in text_of(app)
        await press(pilot, "o", "o")
        assert page.view.shown.look.overlay == "probability"


async def test_how_well_the_slice_is_predicted_is_printed() -> None:
    write_training()
    write_samples(epochs=(12,))
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveSamplesScreen, RUN, class_name="er")

        assert "Dice 0.74" in text_of(app)
        assert "unknown 0 %" in text_of(app)


async def test_a_damaged_slice_is_told_and_the_next_one_is_shown() -> None:
    write_training()
    write_samples()
    damaged = sample_folder(RUN, 12) / "demo_cell-1_crop9001_y.npz"
    damaged.write_bytes(damaged.read_bytes()[:200])
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)

        assert page.view.shown is None
        assert "is no example slice" in text_of(app)
        await press(pilot, "left_square_bracket")
        assert page.view.shown.epoch == 6


async def test_a_run_that_vanishes_leaves_words_and_no_error() -> None:
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)
        shutil.rmtree(RUN)
        page._search()
        await still(pilot)

        assert page.view.shown is None
        assert "has left no example slices" in text_of(app)


# Machine


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_eight_gpus_fit_on_the_screen(size) -> None:
    write_training()
    write_telemetry(RUN, machine(8), reading(8, time_s=1.0), reading(8))
    app = train_app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, LiveMachineScreen, RUN)

        shown = text_of(app)
        assert all(f"gpu{number}" in shown for number in range(8))
        assert "clocks held: power cap" in shown
        assert "gpu-07, not this machine" in shown


async def test_a_machine_without_gpus_says_why() -> None:
    write_training()
    write_telemetry(RUN, machine(0, gpu_state="no NVIDIA driver"), reading(0))
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveMachineScreen, RUN)

        assert "no GPU: no NVIDIA driver" in text_of(app)
        assert "container" in text_of(app)


async def test_the_time_of_an_epoch_is_split() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveMachineScreen, RUN)

        shown = text_of(app)
        assert "this run has told nothing of its machine" in shown
        assert "31 % of each step waits for data" in shown
        assert "validation" in shown


async def test_a_log_of_another_tool_has_no_machine_and_no_slices(tmp_path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n" + "".join(f"{step},{1 / (step + 1)}\n" for step in range(20)))
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveMachineScreen, log)
        assert "log of another tool" in text_of(app)

        await opened(pilot, LiveSamplesScreen, log)
        assert "log of another tool" in text_of(app)


# Comparison


async def test_runs_are_compared_by_settings_metrics_and_classes() -> None:
    write_training()
    write_training(OTHER, rate=0.01, best=0.9)
    app = train_app()
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot, LiveCompareScreen, RUN, OTHER)

        shown = text_of(app)
        assert "1 settings differ" in shown or "1 setting differs" in shown
        assert "learning_rate" in shown
        assert "3 better, 0 worse" in shown
        assert "▲ +0.0" in shown


async def test_the_tables_turn_where_there_is_no_room_for_all() -> None:
    write_training()
    write_training(OTHER, rate=0.01, best=0.9)
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveCompareScreen, RUN, OTHER)
        assert "learning_rate: 1 0.001   2 0.01" in text_of(app)

        await press(pilot, "t")
        assert "val/dice" in text_of(app)
        await press(pilot, "t")
        assert "Dice 2" in text_of(app)


async def test_one_run_is_nothing_to_compare_and_says_how_to_get_two() -> None:
    write_training()
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, LiveCompareScreen, RUN)

        assert "draws another over it" in text_of(app)
        assert "of this run" in text_of(app)
        await press(pilot, "t")
        assert "val/dice" in text_of(app)
        await press(pilot, "t")
        assert "mito" in text_of(app)


@pytest.mark.parametrize(
    ("page", "rows"),
    [(LiveClassesScreen, 1 + len(CLASSES)), (LiveHeatScreen, 1 + 12 * 3), (LiveCompareScreen, None)],
)
async def test_tables_are_written_as_csv(page, rows) -> None:
    write_training()
    write_training(OTHER, rate=0.01)
    app = train_app()
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, page, RUN, OTHER)
        await press(pilot, "e")
        line = pilot.app.screen.query_one(Input)
        assert line.value.endswith(".csv")
        line.value = "it.svg"
        await press(pilot, "enter")
        assert "must end in .csv" in text_of(app)
        line.value = "it.csv"
        await press(pilot, "enter")
        await until(pilot, lambda: Path("it.csv").exists())
        assert pilot.app.screen is screen
    with Path("it.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert rows is None or len(table) == rows
    assert any("mito" in row for row in table)
    if page is LiveCompareScreen:
        assert ["setting", "learning_rate", "0.001", "0.01"] in table


async def test_without_colours_classes_are_outlined_with_their_letters(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    write_training()
    write_samples()
    app = train_app()
    async with app.run_test(size=LARGE) as pilot:
        page = await opened(pilot, LiveSamplesScreen, RUN)
        bold = {
            segment.text
            for strip in page.view._strips
            for segment in strip
            if segment.style is not None and segment.style.bold
        }
        assert {"m", "e"} <= bold
        assert "m mito" in text_of(app)


# What holds for all


@pytest.mark.parametrize(
    "page", [LiveClassesScreen, LiveHeatScreen, LiveSamplesScreen, LiveMachineScreen, LiveCompareScreen]
)
async def test_what_is_not_new_is_not_painted_again(page, monkeypatch) -> None:
    write_training()
    write_training(OTHER, rate=0.01)
    write_samples()
    write_telemetry(RUN, machine(2), reading(2))
    app = train_app()
    async with app.run_test(size=LARGE) as pilot:
        screen = await opened(pilot, page, RUN, OTHER)
        await still(pilot)
        if isinstance(screen, LiveCompareScreen):
            await until(pilot, lambda: screen._comparison is not None and not screen._waits)
            await still(pilot)
        painted: list[Widget] = []
        refresh = Widget.refresh

        def counted(widget: Widget, *regions: object, **options: bool) -> Widget:
            painted.append(widget)
            return refresh(widget, *regions, **options)

        monkeypatch.setattr(Widget, "refresh", counted)
        screen.live.version += 1
        screen._show_new()
        await still(pilot)

        assert painted == []
