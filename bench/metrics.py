"""What watching a training costs: logging a step, telemetry, and validating beside the network alone.

    python bench/metrics.py

Processor time, so that other work on the machine matters little. Targets: logging below 1 % of a step at
100 steps a second (100 µs), telemetry below 1 % of a processor, tiles at 0.9 of the network's own rate.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from cellmap_tui.jobs.recorder import RunReporter
from cellmap_tui.jobs.rundir import create_run
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.metric_feed import MetricFeed
from cellmap_tui.learning.model_card import ModelCard
from cellmap_tui.learning.predictor import Predictor
from cellmap_tui.learning.tensorboard_writer import TensorBoardWriter
from cellmap_tui.learning.train_listener import StepRecord
from cellmap_tui.learning.validation import validate
from cellmap_tui.services.demo import DemoRequest
from cellmap_tui.services.telemetry_gpu import GpuProbe
from cellmap_tui.services.telemetry_host import HostProbe
from cellmap_tui.services.telemetry_model import Reading, to_line
from tests.learning.synthetic_bank import random_bank

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 1000
CLASSES = 48


def logging(folder: Path) -> None:
    """Print what a step costs the loop, and all threads together."""
    run = create_run(folder / "runs", "demo", DemoRequest(folder / "none"))
    with RunReporter(run) as report, TensorBoardWriter(folder / "tensorboard") as writer:
        feed = MetricFeed([f"class{number}" for number in range(CLASSES)], report.metric, writer=writer)
        writer.flush()  # until its package is imported, in its own thread
        without = _steps(lambda _: None)
        took = _steps(feed.step)
        feed.flush()
        writer.flush()
    loop_us, all_us = ((one - other) / STEPS * 1e6 for one, other in zip(took, without, strict=True))
    print(f"logging, {CLASSES} classes: {loop_us:.0f} µs of the loop's time a step, {all_us:.0f} µs of all threads")


def _steps(take: Callable[[StepRecord], None]) -> tuple[float, float]:
    """Return the loop's time in a callee, and the process' time, over all steps."""
    columns, loss, norm = torch.rand(CLASSES), torch.tensor(0.3), torch.tensor(1.0)
    hot_s, began_s = 0.0, time.process_time()
    for step in range(1, STEPS + 1):
        time.sleep(0.01)
        record = StepRecord(step, 1, loss, columns, norm, 1e-3, 2, 0.001, 0.01)
        before_s = time.perf_counter()
        take(record)
        hot_s += time.perf_counter() - before_s
    return hot_s, time.process_time() - began_s


def telemetry(folder: Path) -> None:
    """Print what a reading costs."""
    host, gpu = HostProbe(folder), GpuProbe()
    readings = 200
    began_s = time.process_time()
    for _ in range(readings):
        line = to_line(Reading(time_s=time.time(), gpus=gpu.read(), **host.read()))
    each_ms = (time.process_time() - began_s) / readings * 1000
    print(f"telemetry ({gpu.state}): {each_ms:.2f} ms of a processor a second, {len(line)} bytes")


def validating() -> None:
    """Print how much longer a validation takes than the network alone."""
    bank = random_bank(shapes=((100, 110, 120),), context=32)
    bank = dataclasses.replace(bank, crops=tuple(dataclasses.replace(c, usage="validate") for c in bank.crops))
    for dimensions, shape, options in (
        (2, (1, 64, 64), {"features": [16, 16, 32, 64, 64, 16]}),
        (3, (64, 64, 64), {"features": [8, 8, 16, 16, 32, 8]}),
    ):
        card = ModelCard(
            architecture="BasicUNet", columns=bank.columns, dimensions=dimensions, shape=shape,
            voxel_size_nm=bank.voxel_size_nm, model_kwargs=options,
        )  # fmt: skip
        network = build_network(card).eval()
        predictor = Predictor(network, card, batch_size=4)
        tiles, batch = predictor.tiles((100, 110, 120)), torch.rand(4, 1, *card.patch)
        alone = []
        with torch.no_grad():
            network(batch)
            for _ in range(10):
                began_s = time.process_time()
                network(batch)
                alone.append((time.process_time() - began_s) / 4)
        began_s = time.process_time()
        found = validate(predictor, bank)
        took_s, alone_s = time.process_time() - began_s, float(np.median(alone)) * tiles
        voxels = int(np.prod((100, 110, 120)))
        print(
            f"validation {dimensions}D, {tiles} tiles, {voxels / 1e6:.2f} M voxels, {len(found.columns)} classes: "
            f"{took_s:.2f} s, network alone {alone_s:.2f} s, share {alone_s / took_s:.2f}"
        )


def main() -> None:
    """Measure everything."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        logging(Path(name))
        telemetry(Path(name))
    validating()


if __name__ == "__main__":
    main()
