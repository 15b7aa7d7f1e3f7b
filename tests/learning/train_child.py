"""Trains in a folder and prints each step, to be killed in the middle: python train_child.py FOLDER [resume]."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.learning.training_parts import Heard, run


class Prints(Heard):
    def step(self, record):
        print("step", record.step, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Prints(), resume="resume" in sys.argv[2:])
