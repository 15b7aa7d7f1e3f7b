"""Training on the demo: how well a small network learns, and what the loop costs beside the network.

    python bench/training.py [demo] [overfit] [overhead] [--data DIR] [--other DIR] [--seconds S] [--steps N]

``demo``: a small 2D network learns nuc, mito, er and ecs for 220 s on one thread and is measured on a crop of a
demo made with another seed, three slicing directions averaged. ``overfit``: it learns one crop and is measured on
that crop. ``overhead``: share of a step of the default 3D network, at a patch that a CPU bears, that is neither
forward, backward nor update; the wait for data is told apart. Without names, all three. The demos are made in a
temporary folder unless ``--data`` and ``--other`` name their data roots.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

CLASSES = ("nuc", "mito", "er", "ecs")


def _flags() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()[:40]
    except OSError:
        return []


HAS_BF16 = any("amx_bf16" in line for line in _flags())
SMALL = (
    # Crops are 50 to 130 voxels wide: a larger patch is computed mostly for what lies beyond them.
    "input_array_info={shape=[1,64,64],scale=[8,8,8]}",
    "model_name=2d_unet",
    "model_kwargs={features=16}",
    'classes=["nuc","mito","er","ecs"]',
    "batch_size=24",
    "learning_rate=0.003",
    "train_raw_value_transforms=[]",
    'spatial_transforms={mirror={axes={z=0.5,y=0.5,x=0.5}},transpose={axes=["y","x"]}}',
    f"precision={'bf16' if HAS_BF16 else 'fp32'}",
    "workers=1",
)
HELD_OUT = "crop9001"


def crops(root: Path, usage: str, only: str = "") -> list:
    from cellmap_tui.learning.bank import CropSource

    found = []
    for place in sorted(root.glob("*/*.zarr/recon-1")):
        em = place / "em" / "fibsem-uint8"
        for crop in sorted((place / "labels" / "groundtruth").glob("crop*")):
            if only in ("", crop.name):
                found.append(CropSource(f"{place.parent.stem}/{crop.name}", usage, em, crop))
    return found


def bank(sources: list, folder: Path):
    from cellmap_tui.challenge.targets import targets_of
    from cellmap_tui.learning.bank import BankRequest, open_bank

    wanted = BankRequest(tuple(sources), targets_of(CLASSES), (8.0,) * 3, folder / "bank", context_voxels=(16,) * 3)
    return open_bank(wanted)


def config(folder: Path, *sets: str):
    from cellmap_tui.learning.config_read import read_config

    return read_config(None, sets=sets, cwd=folder, run_python=lambda _path: None).checked()


def listener():
    from cellmap_tui.learning.train_listener import TrainSilence

    class Times(TrainSilence):
        def __init__(self) -> None:
            self.records = []
            self.values = {}

        def warning(self, message: str) -> None:
            print(f"  {message}")

        def step(self, record) -> None:
            self.records.append((record.step_s, record.data_s))

        def validated(self, epoch, step, values, *, is_best) -> None:
            self.values = dict(values)

    return Times()


def seconds_of_a_step(folder: Path, held, sets: tuple[str, ...]) -> float:
    """Return how much processor time a batch takes, reading it included."""
    from cellmap_tui.learning.model_card import card_of
    from cellmap_tui.learning.train_loop import train

    def trained(steps: int) -> float:
        asked = config(folder, *sets, "epochs=1", f"iterations_per_epoch={steps}")
        began_s = time.process_time()
        train(asked, held, card_of(asked, held.columns), folder / "timed", validate=lambda _call: {})
        return time.process_time() - began_s

    trained(2)  # imports and compiled loops
    return (trained(24) - trained(4)) / 20


def learn(name: str, folder: Path, held, sets: tuple[str, ...], seconds: float, target: float) -> bool:
    """Train for some seconds of processor time and say how well the validation crop is told."""
    from cellmap_tui.learning.model_card import card_of
    from cellmap_tui.learning.train_loop import train

    steps = max(20, int(seconds / seconds_of_a_step(folder, held, sets)))
    asked = config(folder, *sets, "epochs=1", f"iterations_per_epoch={steps}")
    heard = listener()
    spent = {}

    def validate(call):
        from cellmap_tui.learning.validator import validator_of

        spent["wall"], spent["processor"] = time.perf_counter() - began[0], time.process_time() - began[1]
        return validator_of(asked, held, card_of(asked, held.columns))(call)

    began = time.perf_counter(), time.process_time()
    train(asked, held, card_of(asked, held.columns), folder / name, heard, validate=validate)
    words = ", ".join(f"{c} {heard.values[f'val/dice/{c}']:.3f}" for c in CLASSES)
    dice = heard.values["val/dice"]
    print(
        f"{name}: {steps} steps in {spent['processor']:.0f} s of processor time ({spent['wall']:.0f} s): "
        f"mean Dice {dice:.3f} ({words}); target >= {target}: {'met' if dice >= target else 'MISSED'}"
    )
    return dice >= target


def overhead(folder: Path, held, steps: int) -> bool:
    """Say what of a step is neither forward, backward nor update."""
    import torch

    from cellmap_tui.learning import train_step
    from cellmap_tui.learning.model_card import card_of
    from cellmap_tui.learning.train_loop import train

    spent = {"network": 0.0}
    measured: list[float] = []
    plain_learn, plain_update = train_step.Learner._learn, train_step.Learner._update

    def timed(function):
        def call(*arguments, **options):
            began_s = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent["network"] += time.perf_counter() - began_s

        return call

    shape = "input_array_info={shape=[64,64,64],scale=[8,8,8]}"
    asked = config(
        folder, shape, 'classes=["nuc","mito","er","ecs"]', "model_name=dynunet", "batch_size=2", "epochs=1",
        f"iterations_per_epoch={steps + 2}", "workers=1",
    )  # fmt: skip
    heard = listener()

    class Marks(type(heard)):
        def step(self, record) -> None:
            super().step(record)
            measured.append(spent["network"])

    heard = Marks()
    train_step.Learner._learn, train_step.Learner._update = timed(plain_learn), timed(plain_update)
    try:
        train(asked, held, card_of(asked, held.columns), folder / "overhead", heard, validate=lambda _call: {})
    finally:
        train_step.Learner._learn, train_step.Learner._update = plain_learn, plain_update
    whole = sum(step_s for step_s, _ in heard.records[2:])
    data = sum(data_s for _, data_s in heard.records[2:])
    share = 1 - (measured[-1] - measured[1]) / whole
    print(
        f"overhead: {1e3 * whole / steps:.0f} ms a step of two 64³ patches on {torch.get_num_threads()} thread, "
        f"{share:.2%} of it the loop ({data / whole:.2%} waiting for data); target <= 5 %: "
        f"{'met' if share <= 0.05 else 'MISSED'}"
    )
    return share <= 0.05


def made(folder: Path, seed: int, given: Path | None) -> Path:
    if given is not None:
        return given
    place = folder / f"demo-{seed}"
    command = [sys.executable, "-m", "cellmap_tui", "--batch", "demo", "--make-only", "--seed", str(seed)]
    subprocess.run([*command, "--dest", str(place)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return place / "data"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="demo, overfit, overhead")
    parser.add_argument("--data", type=Path, help="data root of a demo to learn from")
    parser.add_argument("--other", type=Path, help="data root of a demo of another seed")
    parser.add_argument("--seconds", type=float, default=220.0, help="time to learn")
    parser.add_argument("--steps", type=int, default=6, help="steps of the 3D network")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    what = options.what or ["demo", "overfit", "overhead"]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        root = made(folder, 0, options.data)
        good = []
        if "demo" in what:
            other = made(folder, 1, options.other)
            held = bank([*crops(root, "train"), *crops(other, "validate", HELD_OUT)], folder)
            good.append(learn("demo", folder, held, SMALL, options.seconds, 0.85))
        if "overfit" in what:
            held = bank([*crops(root, "train", HELD_OUT), *crops(root, "validate", HELD_OUT)], folder)
            plain = ("ema_decay=0.99", "empty_share=0")
            good.append(learn("overfit", folder, held, (*SMALL, *plain), options.seconds, 0.95))
        if "overhead" in what:
            good.append(overhead(folder, bank(crops(root, "train"), folder), options.steps))
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
