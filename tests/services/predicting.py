"""A small data root with EM at two levels, crops, and networks with random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.model_card import InputScale, ModelCard, write_card
from cellmap_tui.services.predict_model import PredictRequest
from cellmap_tui.volumes.geometry import Box, sub_grid
from cellmap_tui.volumes.write import write_multiscale

torch.set_num_threads(1)
EM = Grid((4.0, 4.0, 4.0), (2.0, 2.0, 2.0), (160, 192, 176))
SMALL = {"features": (4, 4, 4, 4, 4, 4)}


def data_root(folder):
    """Write the EM and register two crops, one in the middle, one at the edge and coarser."""
    root = folder / "data"
    crop = Crop(1, "set", "train", sub_grid(EM, Box((16, 20, 24), (144, 164, 160))), ("mito", "er"), source="import")
    coarse = Crop(
        2, "set", "train", Grid((16.0, 16.0, 16.0), (8.0, 8.0, 8.0), (9, 10, 11)), ("nuc",), source="import"
    )
    grey = np.random.default_rng(3).integers(0, 256, EM.shape).astype(np.uint8)
    write_multiscale(root / crop_em_path(crop), grey, EM, levels=3)
    add_local_crops(root, [crop, coarse])
    return root


def network(folder, columns=("mito", "er", "mito/core"), shape=(32, 32, 32), size=8.0, seed=0, epoch=3):
    """Write the folder of a run with random weights."""
    card = ModelCard(
        architecture="basicunet",
        columns=columns,
        dimensions=2 if 1 in shape else 3,
        shape=shape,
        voxel_size_nm=(size,) * 3,
        model_name="small",
        model_kwargs=SMALL,
        input_scales=(InputScale("raw", shape, (size,) * 3),),
    )
    torch.manual_seed(seed)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    write_card(folder / "model.json", card)
    torch.save(build_network(card).state_dict(), folder / "checkpoints" / f"small_{epoch}.pth")
    return folder


def request(root, *runs, **options):
    own = {"crops": "set/1", "state_dir": root.parent / "state", "device": "cpu", "output": str(root.parent / "out")}
    return PredictRequest(tuple(str(run) for run in runs), data_root=root, **{**own, **options})


def other(asked, **options):
    return replace(asked, **options)
