"""Checkpoints on disk: whole or not there, found by run, folder or file, thinned out by rule; their history."""

from __future__ import annotations

import math
import os
import resource
import signal

import pytest
import torch

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.learning.checkpoints import (
    NOW,
    CheckpointNames,
    CheckpointNotWrittenError,
    find_checkpoint,
    load_state,
    names_of,
    remove,
    save,
    thin_out,
)
from cellmap_tui.learning.config_arrays import KeepCheckpoints
from cellmap_tui.learning.history import (
    HistoryRow,
    append_row,
    best_first,
    forget_after,
    read_history,
    smoothed_score,
    validations_since_best,
)
from cellmap_tui.learning.model_card import ModelCard, write_card
from cellmap_tui.learning.weights import load_file
from tests.learning.training_parts import small_config

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
CARD = ModelCard(
    architecture="basicunet", columns=("mito",), dimensions=2, shape=(1, 16, 16), voxel_size_nm=(8.0, 8.0, 8.0),
    model_name="net",
)  # fmt: skip


def filled(folder, *epochs, name="net_"):
    names = CheckpointNames(folder / "checkpoints", name)
    for epoch in epochs:
        save(names, epoch, WEIGHTS, {"epoch": epoch})
    return names


def rows(names, *scores, low=False):
    for epoch, score in enumerate(scores, 1):
        append_row(names.history, HistoryRow(epoch, epoch * 10, 0.0, {"val/dice": score}, score, low))


def test_weights_are_plain_and_the_state_is_read_without_running_code(tmp_path):
    names = filled(tmp_path, 3)
    assert torch.load(names.weights(3), weights_only=True).keys() == WEIGHTS.keys()
    assert load_state(names.state(3))["epoch"] == 3
    assert sorted(path.name for path in names.folder.iterdir()) == ["net_3.pth", "net_3.state"]


def test_the_best_is_that_of_the_history_and_the_latest_has_the_highest_epoch(tmp_path):
    names = filled(tmp_path, 1, 2, 3, 10)
    rows(names, 0.3, 0.9, 0.5)
    write_card(tmp_path / "model.json", CARD)
    os.utime(names.weights(3))
    for place in (tmp_path, names.folder):
        assert find_checkpoint(place).epoch == 2
        latest = find_checkpoint(place, "latest")
        assert (latest.epoch, latest.card, latest.state) == (10, CARD, names.state(10))


def test_a_best_epoch_that_was_deleted_gives_way_to_the_best_that_is_there(tmp_path):
    names = filled(tmp_path, 1, 2, 3)
    rows(names, 0.3, 0.9, 0.5)
    remove(names, 2)
    assert find_checkpoint(tmp_path).epoch == 3


def test_a_file_is_taken_as_it_is(tmp_path):
    names = filled(tmp_path, 4)
    found = find_checkpoint(names.weights(4))
    assert (found.epoch, found.card) == (4, None)
    plain = tmp_path / "mine.pth"
    torch.save(WEIGHTS, plain)
    assert find_checkpoint(plain).epoch is None
    with pytest.raises(MissingDataError):
        find_checkpoint(tmp_path / "other.pth")


def test_a_folder_of_several_networks_wants_a_name(tmp_path):
    filled(tmp_path, 1, 2)
    filled(tmp_path, 7, name="other_")
    with pytest.raises(RequestError, match="net, other"):
        find_checkpoint(tmp_path)
    assert find_checkpoint(tmp_path, model_name="other").epoch == 7
    with pytest.raises(MissingDataError, match="third"):
        find_checkpoint(tmp_path, model_name="third")
    write_card(tmp_path / "model.json", CARD)
    assert find_checkpoint(tmp_path, "latest").epoch == 2


def test_a_folder_without_checkpoints_is_told(tmp_path):
    with pytest.raises(MissingDataError, match="no checkpoints in"):
        find_checkpoint(tmp_path)


def test_event_i_of_the_official_toolbox_is_of_epoch_i_plus_one(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    names = filled(tmp_path, 1, 2, 3, 4)
    writer = SummaryWriter(str(tmp_path / "tensorboard" / "net"))
    for number, value in enumerate((0.9, 0.5, 0.2, 0.4)):
        writer.add_scalar("validation", value, (number + 1) * 100)
    writer.close()
    assert find_checkpoint(tmp_path).epoch == 3
    assert find_checkpoint(names.folder).epoch == 3


def test_what_no_rule_keeps_is_deleted(tmp_path):
    names = filled(tmp_path, *range(1, 11))
    rows(names, *(0.1, 0.2, 0.9, 0.8, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1))
    gone = thin_out(names, KeepCheckpoints(last=2, best=2, every=6))
    assert names.epochs() == (3, 4, 6, 9, 10)
    assert gone == (1, 2, 5, 7, 8)
    assert not names.state(1).exists()


@pytest.mark.parametrize("cut", [1, 100, 900])
def test_a_file_that_was_cut_short_is_no_checkpoint(tmp_path, cut):
    names = filled(tmp_path, 1)
    for path in (names.weights(1), names.state(1)):
        path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match="cut short"):
        load_state(names.state(1))
    with pytest.raises(DataError, match="cut short"):
        load_file(names.weights(1))


@pytest.mark.parametrize("content", [{"epoch": 1}, [1, 2], {"format": 99}])
def test_a_foreign_or_newer_state_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.state")
    with pytest.raises(DataError, match=r"no state|newer"):
        load_state(tmp_path / "x.state")


def test_a_state_that_holds_code_is_refused(tmp_path):
    torch.save({"format": 1, "epoch": torch.nn.Linear(1, 1)}, tmp_path / "x.state")
    with pytest.raises(DataError, match="run code"):
        load_state(tmp_path / "x.state")


def test_a_disk_that_refuses_leaves_the_checkpoint_before_and_no_scraps(tmp_path):
    names = filled(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(CheckpointNotWrittenError, match=r"net_2\.pth"):
            save(names, 2, {"large": torch.zeros(100_000)}, {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert names.epochs() == (1,)
    assert not [path for path in names.folder.iterdir() if "tmp" in path.name]


def test_a_disk_without_room_is_told_in_numbers_before_anything_is_written(tmp_path, monkeypatch):
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
    names = CheckpointNames(tmp_path / "checkpoints", "net_")
    with pytest.raises(CheckpointNotWrittenError, match="no room for net_now"):
        save(names, NOW, WEIGHTS, {})
    assert list(names.folder.iterdir()) == []


def test_paths_of_a_configuration_are_those_of_the_official_toolbox(tmp_path):
    names = names_of(small_config(tmp_path), tmp_path)
    assert names.weights(7) == tmp_path / "checkpoints" / "small_7.pth"
    other = names_of(
        small_config(tmp_path, model_save_path=str(tmp_path / "x" / "{epoch}-{model_name}.pth")), tmp_path
    )
    assert other.weights(7) == tmp_path / "x" / "7-small.pth"
    save(other, 7, WEIGHTS, {})
    assert other.epochs() == (7,)
    with pytest.raises(RequestError, match="epoch"):
        names_of(small_config(tmp_path, model_save_path="one.pth"), tmp_path)


def test_a_torn_last_line_of_the_history_is_no_row_and_swallows_none(tmp_path):
    path = tmp_path / "history.jsonl"
    append_row(path, HistoryRow(1, 10, 5.0, {"val/dice": 0.5, "val/dice/er": math.nan}, 0.5))
    with path.open("ab") as file:
        file.write(b'{"epoch": 2, "st')
    assert [row.epoch for row in read_history(path)] == [1]
    append_row(path, HistoryRow(2, 20, 6.0, {"val/dice": 0.6}, 0.6))
    append_row(path, HistoryRow(2, 20, 7.0, {"val/dice": 0.7}, 0.7))
    read = read_history(path)
    assert [(row.epoch, row.score) for row in read] == [(1, 0.5), (2, 0.7)]
    assert math.isnan(read[0].values["val/dice/er"])
    assert read_history(tmp_path / "none.jsonl") == ()


def test_epochs_that_are_learned_anew_are_forgotten(tmp_path):
    path = tmp_path / "history.jsonl"
    forget_after(path, 0)
    for epoch in (1, 2, 3):
        append_row(path, HistoryRow(epoch, epoch, 0.0, {"val/dice": 0.5}, 0.5))
    before = read_history(path)
    forget_after(path, 3)
    assert read_history(path) == before
    forget_after(path, 1)
    assert read_history(path) == before[:1]


def test_the_best_of_equals_is_the_first_and_nan_is_never_best():
    scored = [HistoryRow(e, e, 0.0, {}, score) for e, score in enumerate((0.2, 0.7, None, 0.7, 0.6), 1)]
    assert [row.epoch for row in best_first(scored)] == [2, 4, 5, 1]
    assert validations_since_best(scored) == 3
    low = [HistoryRow(e, e, 0.0, {}, score, True) for e, score in enumerate((0.2, 0.7, 0.1), 1)]
    assert best_first(low)[0].epoch == 3


def test_a_score_is_the_mean_over_the_last_validations():
    before = [HistoryRow(e, e, 0.0, {"val/dice": value}) for e, value in enumerate((0.1, 0.4, math.nan, 0.6), 1)]
    assert smoothed_score(before, {"val/dice": 0.8}, "val/dice", 1) == 0.8
    assert smoothed_score(before, {"val/dice": 0.8}, "val/dice", 3) == pytest.approx(0.7)
    assert smoothed_score(before, {"val/dice": math.nan}, "val/dice", 3) is None
