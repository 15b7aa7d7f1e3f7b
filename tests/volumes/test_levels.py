from pathlib import Path

import numpy as np
import pytest

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.levels import choose_level
from cellmap_tui.volumes.ngff import Level, Multiscale


def pyramid(*sizes):
    levels = [
        Level(f"s{k}", Path("v"), Grid(size, (0.0,) * 3, (8, 8, 8)), np.dtype("u1"), (8, 8, 8))
        for k, size in enumerate(sizes)
    ]
    return Multiscale(Path("v"), tuple(levels))


ISOTROPIC = pyramid((4.0,) * 3, (8.0,) * 3, (16.0,) * 3)
ANISOTROPIC = pyramid((5.24, 4.0, 4.0), (10.48, 8.0, 8.0), (20.96, 16.0, 16.0))


@pytest.mark.parametrize(
    ("volume", "wanted", "level", "must_upsample"),
    [
        (ISOTROPIC, (8.0,) * 3, "s1", False),
        (ISOTROPIC, (7.95,) * 3, "s1", False),  # within 1 %
        (ISOTROPIC, (7.9,) * 3, "s0", False),
        (ISOTROPIC, (15.0,) * 3, "s1", False),
        (ISOTROPIC, (500.0,) * 3, "s2", False),
        (ISOTROPIC, (2.0,) * 3, "s0", True),
        (ISOTROPIC, (16.0, 16.0, 2.0), "s0", True),
        (ISOTROPIC, (64.0, 8.0, 8.0), "s1", False),
        (ANISOTROPIC, (8.0,) * 3, "s0", False),
        (ANISOTROPIC, (4.0,) * 3, "s0", True),
        (ANISOTROPIC, (16.0,) * 3, "s1", False),
        (ANISOTROPIC, (21.0, 16.0, 16.0), "s2", False),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_on_every_axis_is_taken(volume, wanted, level, must_upsample):
    choice = choose_level(volume, wanted)
    assert choice.level.name == level
    assert choice.must_upsample is must_upsample


def test_the_choice_is_told_in_words_with_both_voxel_sizes():
    assert choose_level(ISOTROPIC, (8.0,) * 3).reason == "s1 at 8 nm, as asked"
    assert choose_level(ANISOTROPIC, (8.0,) * 3).reason == "s0 at 5.24×4×4 nm, brought down to 8 nm"
    expected = "no level is as fine as 4 nm on every axis: s0 at 5.24×4×4 nm is upsampled"
    assert choose_level(ANISOTROPIC, (4.0,) * 3).reason == expected


def test_the_factor_says_how_much_on_each_axis():
    assert choose_level(ISOTROPIC, (64.0, 8.0, 12.0)).factor == (8.0, 1.0, 1.5)
