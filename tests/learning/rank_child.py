"""One of the processes of a training, started by torchrun: rank_child.py FOLDER BATCH [stop|resume]."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from cellmap_tui.errors import Stopped
from cellmap_tui.learning import train_asks
from tests.learning.test_training_ranks import CHANGES
from tests.learning.training_parts import Heard, Small, run


def network() -> Small:
    torch.manual_seed(5)
    return Small(drop=0.0, norm=False)


class Prints(Heard):
    def epoch_ended(self, epoch, step):
        print("epoch", epoch, flush=True)


def main() -> None:
    torch.set_num_threads(1)
    train_asks.POLL_S = 0.0
    folder, batch, *rest = sys.argv[1:]
    listener = Prints(raises=(8, Stopped("stop")) if rest == ["stop"] else None)
    try:
        run(Path(folder), listener, network=network(), batch_size=batch, resume=rest == ["resume"], **CHANGES)
    except Stopped:
        print("Stopped", flush=True)


if __name__ == "__main__":
    main()
