"""Networks and EM for tests of prediction: one that answers the grey values it is given."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

from cellmap_tui.learning.bank_em import open_em
from cellmap_tui.learning.ensemble import Member, Tiling, covering_grid, predictor_of
from cellmap_tui.learning.model_card import InputScale, ModelCard
from cellmap_tui.learning.stream_predict import Source, stream_part
from cellmap_tui.volumes.geometry import whole

torch.set_num_threads(1)


class Same(nn.Module):
    """Answers the probability grey / 255 in each column, times a factor."""

    def __init__(self, columns=1, factor=1.0):
        super().__init__()
        self.columns, self.factor = columns, factor

    def forward(self, values):
        found = torch.logit((values[:, :1] * self.factor).clamp(1e-6, 1 - 1e-6))
        return found.repeat(1, self.columns, *[1] * (values.ndim - 2))


def card(shape=(16, 16, 16), columns=("mito",), size=8.0, inputs=1, **options):
    sizes = (size,) * 3 if isinstance(size, float) else size
    scales = tuple(InputScale(f"raw{n}", shape, tuple(s * 2**n for s in sizes)) for n in range(inputs))
    return ModelCard(
        architecture=options.pop("architecture", "basicunet"), columns=columns, dimensions=2 if 1 in shape else 3,
        shape=shape, voxel_size_nm=sizes, in_channels=inputs, model_name="small", input_scales=scales, **options,
    )  # fmt: skip


def source(em, place, own, network=None, tiling=None, weights=None, margin=(0, 0, 0), batch_size=3):
    grid = covering_grid(place, own.voxel_size_nm)
    member = Member("a", own, weights or tuple((name, 1.0) for name in own.columns))
    model = Same(len(own.columns)) if network is None else network
    predictor = predictor_of(member, own, model, torch.device("cpu"), batch_size, tiling or Tiling(), margin)
    return Source(member, predictor, open_em(em, grid), grid)


def predicted(sources, columns, target, part=None, depth=16, first_row=None):
    """Return the values of a part and how often each voxel was handed out."""
    box = part or whole(target)
    found = np.full((len(columns), *target.shape), np.nan, np.float32)
    times = np.zeros(target.shape, int)
    with ExitStack() as closing:
        for place, values in stream_part(sources, columns, target, box, depth, closing, first_row=first_row):
            found[(slice(None), *place.slices)] = values.numpy()
            times[place.slices] += 1
    return found, times
