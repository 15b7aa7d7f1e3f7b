"""A small training: crops with something to learn, a network with every kind of state, a listener that interferes."""

from __future__ import annotations

import dataclasses
import hashlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cellmap_tui.learning.checkpoints import load_state
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.learning.config_read import read_config
from cellmap_tui.learning.model_card import card_of
from cellmap_tui.learning.train_listener import TrainSilence
from cellmap_tui.learning.train_loop import train
from cellmap_tui.learning.weights import load_file
from tests.learning.synthetic_bank import BOOK, bank_of, crop_of

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank

SMALL = {
    "input_array_info": "{shape=[1,16,16],scale=[8,8,8]}",
    "classes": '["mito","nuc"]',
    "batch_size": "4",
    "iterations_per_epoch": "6",
    "epochs": "3",
    "learning_rate": "0.02",
    "warmup_epochs": "1",
    "ema_decay": "0.9",
    "gradient_accumulation_steps": "2",
    "workers": "1",
    "model_name": "small",
    "architecture": "basicunet",
}


class Small(nn.Module):
    """Has batch norm (buffers), dropout (random numbers) and a head with a bias."""

    def __init__(self, columns: int = 2, drop: float = 0.2, norm: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(drop),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(8, columns, 1)

    def forward(self, values):
        return self.head(self.body(values))


def bright_bank(seed: int = 0) -> Bank:
    """Return crops in which what is bright is mito and what is dark is nuc."""
    random = np.random.default_rng(seed)
    crops = []
    for number, usage in enumerate(("train", "train", "validate")):
        coarse = random.integers(1, 4, (4, 6, 6))
        codes = np.kron(coarse, np.ones((6, 6, 6), int)).astype(np.uint8)
        em = np.select([codes == 2, codes == 3], [200, 40], 120) + random.integers(-20, 20, codes.shape)
        crops.append(
            crop_of(
                em.astype(np.uint8), codes, ref=f"demo/crop{number + 1}", usage=usage, first_code=number * len(BOOK)
            )
        )
    return bank_of(*crops)


def small_config(folder: Path, *, own: bool = True, **changes):
    sets = [f"{name}={value}" for name, value in {**SMALL, **changes}.items()]
    config = read_config(None, sets=sets, cwd=folder, run_python=lambda _path: None).checked()
    return (
        dataclasses.replace(config, model=PythonObject("model", "class", "tests.Small", "Small")) if own else config
    )


def run(
    folder: Path, listener=None, *, bank=None, network=Small, validate=None, resume=False, init_from=None, **changes
):
    """Train in a folder, as a service would."""
    bank = bank or bright_bank()
    config = small_config(folder, **changes)
    card = card_of(config, bank.columns, config_hash="abc")
    objects = {"model": network}
    options = {"validate": validate, "objects": objects, "resume": resume, "init_from": init_from}
    return train(config, bank, card, folder, listener, **options)


def digest(content) -> str:
    """Return a hash of every bit of tensors and numbers in tables and lists."""
    total = hashlib.sha256()
    _digest(content, total)
    return total.hexdigest()


def _digest(content, total) -> None:
    if isinstance(content, torch.Tensor):
        total.update(f"{content.dtype}{tuple(content.shape)}".encode())
        total.update(content.contiguous().numpy().tobytes())
    elif isinstance(content, dict):
        for name in sorted(content, key=str):
            total.update(str(name).encode())
            _digest(content[name], total)
    elif isinstance(content, list | tuple):
        for part in content:
            _digest(part, total)
    else:
        total.update(repr(content).encode())


def end_of(folder: Path, epoch: int = 3, name: str = "small") -> tuple[str, str, str]:
    """Return hashes of the weights to use, of the learned weights and of optimiser and random numbers."""
    state = load_state(folder / "checkpoints" / f"{name}_{epoch}.state")
    weights = load_file(folder / "checkpoints" / f"{name}_{epoch}.pth")
    return digest(weights), digest(state["model"]), digest([state["optimizer"], state["random"], state["step"]])


class Heard(TrainSilence):
    """Remembers everything; asks and raises when told to."""

    def __init__(self, asks=(), raises=None) -> None:
        self.notes, self.warnings, self.records, self.validations, self.files = [], [], [], [], []
        self.epochs, self.told = [], []
        self._asks = dict(asks)
        self._raises = raises

    def note(self, message):
        self.notes.append(message)

    def warning(self, message):
        self.warnings.append(message)

    def progress(self, done, total, unit):
        self.told.append((done, total, unit))

    def step(self, record):
        self.records.append(record)

    def validated(self, epoch, step, values, *, is_best):
        self.validations.append((epoch, step, dict(values), is_best))

    def epoch_ended(self, epoch, step):
        self.epochs.append(epoch)

    def artefact(self, path, kind):
        self.files.append(path.name)

    def checkpoint(self):
        if self._raises is not None and len(self.records) >= self._raises[0]:
            raise self._raises[1]

    def asked(self):
        due = [step for step in self._asks if step <= len(self.records)]
        return [SimpleNamespace(by="ann", **self._asks.pop(step)) for step in due]


def asks(action: str, value=None):
    return {"action": action, "value": value}
