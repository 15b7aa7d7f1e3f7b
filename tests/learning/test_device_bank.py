"""Reading by a device gives what reading on the CPU gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellmap_tui.learning.augment_values import DEFAULT_VALUES, GreyAugmentation
from cellmap_tui.learning.buffers import BufferPool
from cellmap_tui.learning.config_arrays import ArrayInfo, SpatialTransforms
from cellmap_tui.learning.loader import PatchLoader
from cellmap_tui.learning.patch_plan import PatchRules
from cellmap_tui.learning.patch_source import PatchSource
from tests.learning.synthetic_bank import BOOK, bank_of, crop_of, random_bank

VOXEL = (8.0, 8.0, 8.0)
TURNS = SpatialTransforms(
    mirror=(("y", 0.5),), transpose=("z", "x"), rotate=(("z", -180.0, 180.0), ("x", -180.0, 180.0)), scale=(0.8, 1.2)
)


def holed_bank():
    """Crops whose EM ends within their surroundings, one with a hole in it."""
    random = np.random.default_rng(3)
    crops = []
    for number in range(3):
        grey = random.integers(1, 256, (40, 44, 48), dtype=np.uint8)
        valid = np.ones(grey.shape, np.bool_)
        valid[: 6 + number] = False
        if number == 1:
            valid[20:24, 20:24, 20:24] = False
        codes = random.integers(1, 6, (28, 32, 36)).astype(np.uint8)
        crops.append(
            crop_of(grey * valid, codes, ref=f"demo/crop{number}", first_code=number * len(BOOK), em_valid=valid)
        )
    return bank_of(*crops)


@pytest.mark.parametrize("bank", [random_bank(), holed_bank()], ids=["whole", "holed"])
@pytest.mark.parametrize("shape", [(14, 15, 16), (1, 24, 20)])
@pytest.mark.parametrize(
    "spatial", [SpatialTransforms(), TURNS, SpatialTransforms(rotate=TURNS.rotate, elastic=(10.0, 60.0))]
)
def test_a_device_reads_what_the_cpu_reads(bank, shape, spatial):
    inputs = (ArrayInfo("raw", shape, VOXEL), ArrayInfo("far", (6, 7, 8), (16.0, 16.0, 16.0)))
    source = PatchSource(
        bank, PatchRules(inputs, ArrayInfo("labels", shape, VOXEL), spatial=spatial), BufferPool(2**24)
    )
    here = source.read(1, range(24))
    source.move_to(torch.device("cpu"))
    there = source.read_on_device(1, range(24))
    for name in here.em:
        same = here.raw_valid(name) == there.raw_valid(name)
        assert same.float().mean() > 0.9995
        both = (here.raw_valid(name) & there.raw_valid(name)).view(here.em[name].shape)
        assert (here.em[name].int() - there.em[name].int()).abs()[both].max() <= 1
    assert (here.states == there.states).float().mean() > 0.9995
    assert here.notes == there.notes


def test_a_loader_whose_bank_is_on_the_device_yields_the_same_samples():
    info = ArrayInfo("raw", (10, 10, 10), VOXEL)
    rules = PatchRules((info,), ArrayInfo("labels", info.shape, VOXEL))
    source = PatchSource(random_bank(), rules, BufferPool(2**24), GreyAugmentation(DEFAULT_VALUES, 1))
    before = [batch.raw.clone() for batch in PatchLoader(source, 3, 5, workers=2)]
    source.move_to(torch.device("cpu"))
    for one, other in zip(before, PatchLoader(source, 3, 5, workers=2), strict=True):
        torch.testing.assert_close(one, other.raw)
