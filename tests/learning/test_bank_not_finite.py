"""EM of floats with voxels that are no number: they are not valid, and nothing else changes."""

from __future__ import annotations

import numpy as np

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.bank_em import CropEm, grey_window, write_em
from cellmap_tui.volumes.levels import choose_level
from cellmap_tui.volumes.ngff import open_multiscale
from cellmap_tui.volumes.write import write_multiscale

GRID = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (16, 32, 32))


def test_voxels_that_are_no_number_are_not_valid(tmp_path):
    em = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
    em[4:6, :, :8] = np.nan
    em[7, 0, 0] = np.inf
    write_multiscale(tmp_path / "em", em, GRID, levels=1)
    volume = open_multiscale(tmp_path / "em")
    out = np.zeros(GRID.shape, np.uint8)
    found = CropEm(volume, choose_level(volume, GRID.voxel_size_nm), grey_window(volume), None)
    valid = write_em(found, GRID, out)
    assert valid is not None
    assert np.array_equal(valid, np.isfinite(em))
    assert not out[~valid].any()
    assert out[valid].std() > 10
