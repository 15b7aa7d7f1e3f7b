"""Metrics reach events and TensorBoard, complete and in order, without a wait on the way."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cellmap_tui.learning.metric_feed import CAPACITY, MetricFeed
from cellmap_tui.learning.sample_pictures import sample_pictures
from cellmap_tui.learning.samples import Sample, write_sample
from cellmap_tui.learning.tensorboard_writer import TensorBoardWriter
from cellmap_tui.learning.train_listener import StepRecord

NAN = float("nan")


class Heard:
    def __init__(self):
        self.rows = []

    def __call__(self, step, values, epoch=None):
        self.rows.append((step, dict(values), epoch))

    def steps(self):
        return [(step, values) for step, values, _ in self.rows if "loss" in values]

    def classes(self):
        return [(step, values) for step, values, _ in self.rows if "loss" not in values]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def record(step, loss=0.5, by_column=(0.25, 0.75), norm=1.0, epoch=1) -> StepRecord:
    return StepRecord(
        step, epoch, torch.tensor(loss), torch.tensor(by_column), None if norm is None else torch.tensor(norm),
        0.001, 4, 0.02, 0.1,
    )  # fmt: skip


def scalars(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_steps_are_sent_twice_a_second_in_order_and_whole():
    heard, clock = Heard(), Clock()
    feed = MetricFeed(("mito", "nuc"), heard, clock=clock)
    for step in range(1, 7):
        clock.now += 0.2
        feed.step(record(step, loss=step / 10))
    assert [step for step, _ in heard.steps()] == [1, 2, 3, 4, 5, 6]
    step, values = heard.steps()[0]
    assert values == pytest.approx({
        "loss": 0.1, "lr": 0.001, "grad_norm": 1.0, "perf/samples_per_s": 40, "perf/data_wait": 0.2,
        "perf/step_ms": 100, "perf/data_ms": 20, "perf/compute_ms": 80,
    })  # fmt: skip
    assert [step for step, _ in heard.classes()] == [3, 6]


def test_nothing_is_sent_before_its_time_and_everything_at_the_end():
    heard = Heard()
    feed = MetricFeed(("mito", "nuc"), heard, clock=Clock())
    feed.step(record(1))
    feed.step(record(2))
    assert heard.rows == []
    feed.flush()
    feed.flush()
    assert [step for step, _ in heard.steps()] == [1, 2]


def test_more_steps_than_a_table_holds_are_not_lost():
    heard = Heard()
    feed = MetricFeed(("mito", "nuc"), heard, clock=Clock())
    for step in range(3 * CAPACITY + 5):
        feed.step(record(step, loss=float(step)))
    feed.flush()
    assert [(step, values["loss"]) for step, values in heard.steps()] == [
        (n, float(n)) for n in range(3 * CAPACITY + 5)
    ]


def test_a_class_of_which_nothing_was_known_in_a_step_is_left_out_of_its_mean():
    heard = Heard()
    feed = MetricFeed(("mito", "nuc", "er"), heard, clock=Clock())
    feed.step(record(1, by_column=(0.2, NAN, NAN)))
    feed.step(record(2, by_column=(0.4, 0.5, NAN)))
    feed.flush()
    assert heard.classes() == [(2, {"loss/mito": pytest.approx(0.3), "loss/nuc": pytest.approx(0.5)})]


def test_a_loss_that_is_no_number_is_told_and_a_step_without_an_update_has_no_gradient():
    heard = Heard()
    feed = MetricFeed(("mito", "nuc"), heard, clock=Clock())
    feed.step(record(1, loss=NAN, norm=None))
    feed.flush()
    ((_, values),) = heard.steps()
    assert math.isnan(values["loss"])
    assert "grad_norm" not in values


def test_event_files_have_the_official_tags_and_ours(tmp_path):
    with TensorBoardWriter(tmp_path) as writer:
        feed = MetricFeed(("mito", "nuc"), Heard(), writer=writer, clock=Clock())
        for step in range(1, 11):
            feed.step(record(step, loss=step / 10))
        feed.validated(1, 10, {"val/loss": 0.7, "val/dice": 0.6, "val/dice/mito": 0.6, "val/dice/nuc": NAN})
        feed.epoch_ended(1, 10)
    found = scalars(tmp_path)
    assert [event.step for event in found.Scalars("loss")] == list(range(1, 11))
    assert found.Scalars("loss")[4].value == pytest.approx(0.5)
    assert [(event.step, event.value) for event in found.Scalars("validation")] == [(10, pytest.approx(0.7))]
    assert [(event.step, event.value) for event in found.Scalars("lr")] == [(10, pytest.approx(0.001))]
    assert {"val/dice", "val/dice/mito", "loss/mito", "grad_norm", "perf/step_ms"} <= set(found.Tags()["scalars"])
    assert "val/dice/nuc" not in found.Tags()["scalars"]


def test_a_resumed_run_takes_back_the_steps_that_it_runs_again(tmp_path):
    with TensorBoardWriter(tmp_path) as writer:
        for step in range(1, 11):
            writer.scalars(step, {"loss": 1.0}, time_s=1000.0 + step)
    with TensorBoardWriter(tmp_path, purge_step=8) as writer:
        for step in range(8, 13):
            writer.scalars(step, {"loss": 2.0}, time_s=2000.0 + step)
    found = [(event.step, event.value) for event in scalars(tmp_path).Scalars("loss")]
    assert found == [(n, 1.0) for n in range(1, 8)] + [(n, 2.0) for n in range(8, 13)]


def test_a_disk_that_takes_nothing_does_not_stop_the_work(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with TensorBoardWriter(blocked / "tensorboard") as writer:
        writer.scalars(1, {"loss": 1.0})
        writer.flush()
    assert writer.lost == 1
    assert writer.failure
    assert not [thread for thread in threading.enumerate() if thread.name == "cellmap-tensorboard"]


def test_a_writer_that_was_given_nothing_leaves_no_file(tmp_path):
    with TensorBoardWriter(tmp_path / "tensorboard"):
        pass
    assert not (tmp_path / "tensorboard").exists()


def sample() -> Sample:
    truth = np.zeros((2, 20, 30), np.uint8)
    truth[0, :10, :10], truth[0, :, 25:] = 1, 255
    probability = np.zeros((2, 20, 30), np.uint8)
    probability[0, :10, 5:15] = 200
    return Sample(
        "demo/crop1", "z", 3, 30, ("mito", "nuc"), np.full((20, 30), 100, np.uint8), truth, probability,
        (8.0, 8.0, 8.0), (7, 0, 0),
    )  # fmt: skip


def test_slices_become_pictures_of_the_classes_they_show(tmp_path):
    pictures = sample_pictures(sample())
    assert set(pictures) == {"mito"}
    assert pictures["mito"].shape == (20, 4 * 30 + 6, 3)
    raw, error = pictures["mito"][:, :30], pictures["mito"][:, -30:]
    assert (raw == 100).all()
    right, missed, false = error[2, 7], error[2, 2], error[2, 12]
    assert len({tuple(colour.tolist()) for colour in (right, missed, false, raw[0, 0])}) == 4
    path = tmp_path / "demo_crop1_z.npz"
    write_sample(path, sample())
    with TensorBoardWriter(tmp_path / "tensorboard") as writer:
        MetricFeed(("mito", "nuc"), Heard(), writer=writer).validated(3, 30, {}, [path])
    (image,) = scalars(tmp_path / "tensorboard").Images("mito/demo_crop1_z")
    assert (image.step, image.width, image.height) == (30, 126, 20)
