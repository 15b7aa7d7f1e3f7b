"""EM and labels of a bank lie where the data say, to less than a hundredth of a voxel."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.learning.bank import open_bank
from cellmap_tui.learning.bank_build import with_context
from cellmap_tui.learning.bank_em import open_em

from .bank_data import dense, request, source, write_em, write_labels

SIZES = [2.0, 4.0, 5.24, 8.0, 10.48, 16.0, 32.0]
SLOPE = np.array([0.31, 0.47, 0.59])
"""Grey values per nm along z, y, x, relative: such that roundings do not repeat from voxel to voxel."""


def centres(grid):
    """Return the world positions of all voxel centres, ``[3, z, y, x]``."""
    axes = zip(grid.translation_nm, grid.voxel_size_nm, grid.shape, strict=True)
    return np.stack(np.meshgrid(*[t + s * np.arange(n) for t, s, n in axes], indexing="ij"))


def ramp(grid, scale):
    return np.tensordot(SLOPE * scale, centres(grid), axes=1)


def crop_grid(size, offset, edge=128.0):
    count = max(4, int(edge / size))
    return Grid((size,) * 3, tuple(200 + offset + size / 2 for _ in range(3)), (count,) * 3)


def shift_voxels(found, expected, grid, scale):
    """Return by how many voxels along the diagonal grey values are off, as their mean says."""
    return abs(float((found - expected).mean())) / (SLOPE.sum() * scale * grid.voxel_size_nm[0])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    em_size=st.sampled_from([2.0, 4.0, 5.24, 8.0, 16.0]),
    label_size=st.sampled_from(SIZES),
    offset=st.floats(-20, 20),
    scale=st.sampled_from([4.0, 8.0, 10.0, 16.0]),
)
def test_em_and_labels_lie_where_they_should(tmp_path_factory, em_size, label_size, offset, scale):
    folder = tmp_path_factory.mktemp("aligned")
    labels = crop_grid(label_size, offset)
    em = Grid((em_size,) * 3, (100.0, 100.0, 100.0), (int(320 / em_size),) * 3)
    # 16 bit, so that what is measured is where values come from and not how they are rounded on disk.
    deep = 60_000 / ramp(em, 1.0).max()
    written = np.rint(ramp(em, deep)).astype(np.uint16)
    ids = (ramp(labels, deep) < 30_000).astype(np.uint8)
    where = source(write_em(folder, written, em, levels=3), write_labels(folder, 1, labels, levels=2, mito=ids))
    bank = open_bank(
        request(folder, where, scale=scale, context_voxels=(1, 2, 3), coarse_labels="upsample", workers=1)
    )
    crop = bank.crops[0]
    around = with_context(crop.grid, (1, 2, 3))
    assert crop.em_valid is None
    low, high = open_em(where.em, crop.grid).window
    steep = deep * 255 / (high - low)
    expected = np.clip(ramp(around, steep) - low * 255 / (high - low), 0, 255)
    assert shift_voxels(crop.em, expected, around, steep) < 0.01
    assert abs(crop.em - expected).max() < 0.55
    check_labels(dense(bank)[0], crop.grid, labels, ids)


def check_labels(states, grid, labels, ids):
    """Each voxel has the majority of the label voxels whose centres are in it, or the one that its centre is in."""
    for place in itertools.product(*[sorted({0, 1, n // 2, n - 1}) for n in grid.shape]):
        low = [t + (i - 0.5) * s for t, i, s in zip(grid.translation_nm, place, grid.voxel_size_nm, strict=True)]
        if grid.voxel_size_nm[0] < labels.voxel_size_nm[0] * 1.5:
            centre = [a + s / 2 for a, s in zip(low, grid.voxel_size_nm, strict=True)]
            index = [(c - t) / s for c, t, s in zip(centre, labels.translation_nm, labels.voxel_size_nm, strict=True)]
            if any(abs(i - np.floor(i) - 0.5) < 1e-3 for i in index):
                continue  # between two voxels either is right
            chosen = tuple(min(max(round(i), 0), n - 1) for i, n in zip(index, labels.shape, strict=True))
            assert states[place] == ids[chosen]


@pytest.mark.parametrize(("label_size", "scale"), itertools.product([2.0, 4.0, 8.0, 16.0], [8.0, 16.0]))
def test_a_ball_stays_where_it_is(tmp_path, label_size, scale):
    labels = crop_grid(label_size, 3.0, edge=256.0)
    middle = np.array([331.3, 329.1, 333.7]).reshape(3, 1, 1, 1)
    mask = (((centres(labels) - middle) ** 2).sum(axis=0) < 96.0**2).astype(np.uint8)
    em = Grid((8.0,) * 3, (100.0,) * 3, (60,) * 3)
    where = source(write_em(tmp_path, np.ones(em.shape, np.uint8), em), write_labels(tmp_path, 1, labels, mito=mask))
    bank = open_bank(request(tmp_path, where, scale=scale, coarse_labels="upsample"))
    found = centre_of(dense(bank)[0], bank.crops[0].grid)
    # A ball of six voxels has so few that its centre says no more; a wrong grid is off by 0.25 or 0.5.
    assert (abs(found - centre_of(mask, labels)) / max(label_size, scale)).max() < 0.04


def centre_of(states, grid):
    """Return the centre of mass in nm."""
    return (centres(grid) * states).sum(axis=(1, 2, 3)) / states.sum()
