"""Steps of recipes carried out block by block, against one pass of the libraries over the whole array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.special import expit
from skimage.segmentation import watershed

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.services.process_class import Inputs, carry_out
from cellmap_tui.services.process_recipe import parse_recipe
from cellmap_tui.volumes.blocks import Held, Workspace
from cellmap_tui.volumes.voxel_steps import Sigmoid, stepped

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (70, 66, 132)
VOXEL = 8.0
FULL = np.ones((3, 3, 3))
ABOVE, BELOW, LEAST = 0.64, 0.28, 10


def _probability(seed: int) -> NDArray[np.float32]:
    field = ndi.gaussian_filter(np.random.default_rng(seed).random(SHAPE, np.float32), 2.0)
    return np.asarray((field - field.min()) / np.ptp(field))


OWN, OTHER, THIRD = (_probability(seed) for seed in (1, 2, 3))
MASK = np.float32(ABOVE) < OWN
TAKEN = {"er": (OTHER > 0.5).astype(np.uint8), "nuc": (THIRD > 0.6).astype(np.uint8)}
THRESHOLD = f'{{ step = "threshold", above = {ABOVE} }}'


def _label(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(ndi.label(mask, FULL)[0], np.int64)


def _opened() -> NDArray[np.int64]:
    ball = np.linalg.norm(np.indices((5, 5, 5)) - 2, axis=0) * VOXEL <= 16
    # What lies beyond the faces eats nothing.
    return _label(ndi.binary_dilation(ndi.binary_erosion(MASK, ball, border_value=1), ball))


def _flooded() -> NDArray[np.int64]:
    """Each connected piece flooded by scikit-image from where the map of boundaries is low."""
    heights, pieces, found = 1 - OWN, _label(MASK), np.zeros(SHAPE, np.int64)
    seeds = _label(MASK & (heights < BELOW))
    small = np.bincount(seeds.ravel()) < LEAST
    seeds[small[seeds]] = 0
    for number, place in enumerate(ndi.find_objects(pieces), 1):
        inside = pieces[place] == number
        own = seeds[place] * inside
        parts = watershed(heights[place], own, mask=inside, connectivity=FULL) if own.any() else inside
        found[place][inside] = parts[inside] + found.max()
    return found


def _cut() -> NDArray[np.int64]:
    """Pieces with the voxels of others taken out: no new pieces, but those that are gone count no more."""
    return np.where((TAKEN["er"] | TAKEN["nuc"]) > 0, 0, _label(MASK))


CASES = {
    "smooth": (
        f'[{{ step = "smooth", sigma_nm = 12 }}, {THRESHOLD}, "components"]',
        lambda: _label(ndi.gaussian_filter(OWN, 1.5, mode="nearest", truncate=3) > np.float32(ABOVE)),
    ),
    "open": (f'[{THRESHOLD}, {{ step = "open", radius_nm = 16 }}, "components"]', _opened),
    "exclude by labels": (
        f'[{THRESHOLD}, {{ step = "exclude", classes = ["er", "nuc"] }}, "components"]',
        lambda: _label(_cut() > 0),
    ),
    "exclude of objects": (f'[{THRESHOLD}, "components", {{ step = "exclude", classes = ["er", "nuc"] }}]', _cut),
    "exclude by probability": (
        f'[{THRESHOLD}, {{ step = "exclude", by = "probability", classes = ["er"] }}, "components"]',
        lambda: _label(MASK & (OTHER <= OWN)),
    ),
    "union": (
        '[{ step = "union", classes = ["er", "nuc"] }, "components"]',
        lambda: _label((TAKEN["er"] | TAKEN["nuc"]) > 0),
    ),
    "watershed": (
        f'[{THRESHOLD}, {{ step = "watershed", by = "boundary", below = {BELOW}, min_seed_voxels = {LEAST} }}]',
        _flooded,
    ),
}


def _carried(steps: str, work: Workspace) -> NDArray[np.int64]:
    recipe = parse_recipe(f"[classes.mito]\nsteps = {steps}").of("mito", "instance")
    grid = Grid((VOXEL,) * 3, (VOXEL / 2,) * 3, SHAPE)
    inputs = Inputs(grid, Held(OWN), lambda _: None, lambda _: Held(OTHER), lambda name: Held(TAKEN[name]))
    carried = carry_out(recipe, inputs, work).volume
    found = np.zeros(SHAPE, np.int64)
    for box in work.blocks(SHAPE):
        found[box.slices] = carried.read(box)
    return found


def _is_renumbered(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two labellings are the same but for the numbers."""
    pairs = np.unique(one * (other.max() + 1) + other)
    first, second = np.divmod(pairs, other.max() + 1)
    return len(np.unique(first)) == len(np.unique(second)) == len(pairs)


@pytest.mark.parametrize("name", CASES)
def test_a_step_in_blocks_gives_what_the_libraries_make_of_the_whole(tmp_path: Path, name: str) -> None:
    steps, whole = CASES[name]
    expected = whole()
    assert expected.max() > 20
    small, large = (_carried(steps, Workspace(tmp_path / str(edge), edge)) for edge in (64, 128))
    assert np.array_equal(small > 0, expected > 0)
    assert _is_renumbered(small, expected)
    assert np.array_equal(small, large)
    assert np.array_equal(small, _carried(steps, Workspace()))


def test_logits_become_the_same_probabilities_in_blocks(tmp_path: Path) -> None:
    logits = (OWN - 0.5) * 20
    told = stepped(Held(logits), [Sigmoid()])
    for box in Workspace(tmp_path, 64).blocks(SHAPE):
        np.testing.assert_allclose(told.read(box), expit(logits)[box.slices], rtol=1e-6)
