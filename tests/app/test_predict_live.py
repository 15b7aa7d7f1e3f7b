"""How far a prediction is: from its events, and from the journal that grows beside the volumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmap_tui.app.predict_live import PredictFeed, followed_run
from cellmap_tui.app.predict_networks import known_network, trained_networks, typed_network
from cellmap_tui.app.predict_words import total_words, volume_page
from cellmap_tui.errors import CellmapError
from tests.app.builders import run_of, write_log
from tests.app.predict_parts import MISSING, OLDER_ID, crop, prediction, training, write_journal, write_network

if TYPE_CHECKING:
    from cellmap_tui.jobs.summary import RunSummary

FOLDERS = [Path("data/predictions/jrc_cos7-1a.zarr/crop234"), Path("data/predictions/jrc_cos7-1a.zarr/crop236")]
PARTS = [[[0, 0, 0], [128, 100, 100]], [[128, 0, 0], [200, 100, 100]]]


def rows_of(run, is_live=True):
    return PredictFeed(run.path).poll(is_live=is_live)


def test_the_crops_of_the_request_are_there_before_anything_is_told() -> None:
    rows = rows_of(prediction())

    assert [(row.ref, row.state) for row in rows] == [
        ("jrc_cos7-1a/crop234", "queued"),
        ("jrc_cos7-1a/crop236", "queued"),
    ]


def test_a_journal_tells_blocks_and_share() -> None:
    run = prediction()
    write_journal(FOLDERS[0], PARTS, {0: 128, 1: 146})

    first, second = rows_of(run)

    assert (first.state, first.blocks_done, len(first.blocks)) == ("working", 1, 2)
    assert first.share == pytest.approx((128 + 18) / 200)
    assert first.classes == ("mito", "mito/core")
    assert second.share is None
    assert "1 of 2 blocks" in volume_page(first, 60).plain


def test_tiles_that_are_not_on_disk_yet_count_while_the_job_goes_on() -> None:
    run = prediction()
    write_journal(FOLDERS[0], PARTS, {1: 146})
    (FOLDERS[0] / ".predict.partial" / "tiles.json").write_text('{"0": 0.75, "1": 0.1}')

    first, _ = rows_of(run)
    stopped, _ = rows_of(run, is_live=False)

    assert first.share == pytest.approx((0.75 * 128 + 18) / 200)
    assert first.blocks_done == 0
    assert stopped.share == pytest.approx(18 / 200)


def test_a_job_that_has_stopped_leaves_its_blocks_as_they_are() -> None:
    run = prediction("stopped")
    write_journal(FOLDERS[0], PARTS, {0: 64})

    first, second = rows_of(run, is_live=False)

    assert (first.state, first.rate, second.state) == ("stopped", None, "queued")


def test_the_rate_of_a_crop_is_that_of_its_blocks_and_gives_the_time_left(monkeypatch) -> None:
    run, clock = prediction(), [100.0]
    monkeypatch.setattr("cellmap_tui.app.predict_live.time.monotonic", lambda: clock[0])
    feed = PredictFeed(run.path)
    write_journal(FOLDERS[0], PARTS, {0: 64})
    feed.poll(is_live=True)
    write_journal(FOLDERS[0], PARTS, {0: 128})
    clock[0] += 8

    first, _ = feed.poll(is_live=True)

    assert first.rate == pytest.approx(64 * 10_000 / 8)
    assert first.eta_s == pytest.approx(72 * 8 / 64)


def test_written_classes_make_a_crop_done_once_its_journal_is_gone() -> None:
    run = prediction()
    told = [{"event": "artefact", "path": str(FOLDERS[0].absolute() / name), "kind": "prediction"}
            for name in ("mito", "mito/core")]  # fmt: skip
    write_log(run, told)
    write_journal(FOLDERS[0], PARTS, {0: 128, 1: 200})
    feed = PredictFeed(run.path)

    assert feed.poll(is_live=True)[0].state == "working"
    for file in (FOLDERS[0] / ".predict.partial").iterdir():
        file.unlink()
    (FOLDERS[0] / ".predict.partial").rmdir()

    first = feed.poll(is_live=True)[0]
    assert (first.state, first.share, first.classes) == ("written", 1.0, ("mito", "mito/core"))


def test_missing_em_is_told_with_what_brings_it() -> None:
    run = prediction(refs="558")
    write_log(run, [{"event": "warning", "message": MISSING}])

    (row,) = rows_of(run)

    assert row.state == "EM missing"
    page = volume_page(row, 60).plain
    assert "fetch-data --crops jrc_mus-kidney/crop558" in page
    assert "from bucket" in page


def test_a_crop_whose_name_begins_alike_is_another_one() -> None:
    run = prediction(refs="jrc_cos7-1a/crop234")
    write_log(run, [{"event": "warning", "message": "jrc_cos7-1a/crop2345: broken"}])

    assert rows_of(run)[0].state == "queued"


def test_the_result_has_the_last_word() -> None:
    run = prediction("done")
    told = [{**_plain(crop("jrc_cos7-1a/crop234", state="kept"))},
            {**_plain(crop("jrc_cos7-1a/crop236", state="failed", reason="a chunk is broken"))}]  # fmt: skip
    (run.path / "result.json").write_text(json.dumps({"v": 1, "value": {"crops": told}}))

    first, second = rows_of(run, is_live=False)

    assert (first.state, second.state, second.problem) == ("there already", "failed", "a chunk is broken")


@pytest.mark.parametrize("text", ["", "{", '{"value": 3}', '{"value": {"crops": [{}]}}', "[]"])
def test_a_torn_result_is_no_result(text) -> None:
    run = prediction("done")
    (run.path / "result.json").write_text(text)

    assert [row.state for row in rows_of(run, is_live=False)] == ["queued", "queued"]


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', '{"format": 1, "columns": {}, "parts": 3}', "[]"])
def test_a_torn_journal_is_no_journal(text) -> None:
    run = prediction()
    write_journal(FOLDERS[0], PARTS, {0: 1})
    (FOLDERS[0] / ".predict.partial" / "header.json").write_text(text)

    assert rows_of(run)[0].blocks == ()


def test_a_request_that_cannot_be_read_shows_what_the_job_tells() -> None:
    run = prediction()
    (run.path / "request.json").write_text("{")
    path = FOLDERS[0].absolute() / "mito"
    write_log(run, [{"event": "artefact", "path": str(path), "kind": "prediction"}])

    assert [(row.ref, row.state) for row in rows_of(run)] == [("jrc_cos7-1a/crop234", "written")]


def test_the_job_that_goes_on_is_followed_before_newer_ones_that_have_ended() -> None:
    ended, live, other = (
        run_of("c", "done", command="predict"),
        run_of("b", "running", command="process"),
        run_of("a", "running", command="train"),
    )

    assert followed_run([ended, live, other]) is live
    assert followed_run([ended, live], "c") is ended
    assert followed_run([other]) is None


def test_trainings_tell_their_best_and_latest_epoch_with_dice() -> None:
    done, fresh = training(), training(OLDER_ID, dice=())

    found, empty = trained_networks([run_of("x"), done, fresh])

    assert (found.best_epoch, found.best_dice, found.latest_epoch, found.latest_dice) == (2, 0.713, 3, 0.702)
    assert (found.architecture, found.classes) == ("3D unet", ("mito", "er", "nuc"))
    assert "no checkpoints" in empty.problem


def test_a_path_leads_to_a_network_or_says_why_not(tmp_path) -> None:
    write_network(tmp_path / "net", (0.5,))
    (tmp_path / "ensemble.toml").write_text('[runs.a]\ncheckpoint = "net"\n[classes]\nmito = ["a"]\n')
    (tmp_path / "train.toml").write_text("epochs = 3\n")
    (tmp_path / "broken.toml").write_text("epochs = ")
    (tmp_path / "empty").mkdir()

    assert typed_network(f"{tmp_path}/net").latest_epoch == 1
    assert typed_network(f"{tmp_path}/net/checkpoints/unet_1.pth").kind == "file"
    assert typed_network(f"{tmp_path}/ensemble.toml").kind == "ensemble"
    assert typed_network(f"{tmp_path}/train.toml").kind == "configuration"
    for name in ("empty", "none", "broken.toml"):
        with pytest.raises(CellmapError):
            typed_network(f"{tmp_path}/{name}")
        assert known_network(f"{tmp_path}/{name}").problem


def _plain(one):
    from cellmap_tui.services.models import to_builtins

    return to_builtins(one)


def test_crops_that_are_there_already_say_so_while_the_job_goes_on() -> None:
    run = prediction()
    told = [{"event": "note", "message": "jrc_cos7-1a/crop234: there already"},
            {"event": "note", "message": "jrc_cos7-1a/crop236: the networks know none of its 3 classes"}]  # fmt: skip
    write_log(run, told)

    first, second = rows_of(run)

    assert (first.state, first.share) == ("there already", 1.0)
    assert (second.state, second.problem) == ("nothing to do", "the networks know none of its 3 classes")


def test_a_tuning_is_followed_by_its_classes() -> None:
    run = tuning("running")
    write_log(run, [{"event": "note", "message": "tunes mito, er, ves"},
                    {"event": "note", "message": "mito: 0.390 -> 0.621 on crop9012"},
                    {"event": "warning", "message": "er: its truth cannot be read"}])  # fmt: skip

    rows = rows_of(run)

    assert [(row.label, row.state) for row in rows] == [("mito", "tuned"), ("er", "failed"), ("ves", "working")]
    assert "0.390 -> 0.621" in volume_page(rows[0], 60).plain
    assert [row.state for row in rows_of(run, is_live=False)] == ["tuned", "failed", "stopped"]


def test_a_job_that_died_without_a_word_does_not_end_with_what_it_told_last() -> None:
    run = prediction("lost", message="2 volumes, 3 456 tiles")

    words = total_words(run, (), 80).plain

    assert "died without a word, r goes on" in words
    assert "2 volumes" not in words


def tuning(state: str) -> RunSummary:
    """Write the directory of a tuning and return the run."""
    run = run_of("20251009T085200Z-tune-0000c1", state, command="tune", done=3.0, total=42.0, unit="recipes")
    write_log(run, [])
    document = {"v": 1, "command": "tune", "request": {"crops": "234"}, "cwd": str(Path.cwd())}
    (run.path / "request.json").write_text(json.dumps(document))
    return run
