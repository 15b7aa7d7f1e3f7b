import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.pixels import PLANES, pixels_for

from .builders import grids

CROP = Grid((50.0, 4.0, 4.0), (1000.0, 2.0, 2.0), (20, 250, 500))


@given(grids, st.sampled_from([0, 1, 2]), st.integers(1, 300), st.integers(1, 300), st.integers(0, 30))
def test_the_whole_crop_and_its_margin_fit_into_square_pixels(grid, axis, height, width, margin):
    pixels = pixels_for(grid, axis, (0, 0, 0), height_px=height, width_px=width, margin_voxels=margin)
    down, across = PLANES[axis]
    assert pixels.grid.voxel_size_nm[down] == pixels.grid.voxel_size_nm[across] == pixels.nm_per_pixel
    assert pixels.grid.shape[axis] == 1
    assert pixels.shape[0] <= height
    assert pixels.shape[1] <= width
    for a in (down, across):
        edge = margin * grid.voxel_size_nm[a]
        slack = 1e-3 * pixels.nm_per_pixel + 1e-6
        assert pixels.grid.lower_nm[a] == pytest.approx(grid.lower_nm[a] - edge, abs=slack)
        assert pixels.grid.upper_nm[a] >= grid.upper_nm[a] + edge - slack
        assert pixels.grid.upper_nm[a] - pixels.nm_per_pixel <= grid.upper_nm[a] + edge + slack


@given(grids, st.sampled_from([0, 1, 2]), st.data())
def test_zoomed_to_one_voxel_a_pixel_the_voxel_is_in_the_picture_and_centred(grid, axis, data):
    voxel = tuple(data.draw(st.integers(0, n - 1)) for n in grid.shape)
    pixels = pixels_for(grid, axis, voxel, height_px=8, width_px=8, voxels_per_pixel=1)
    assert pixels.pixel_of(voxel) is not None
    down, across = PLANES[axis]
    for a, count in zip((down, across), pixels.shape, strict=True):
        assert count <= 8
        if grid.voxel_size_nm[a] == pixels.nm_per_pixel:
            offset = (pixels.grid.translation_nm[a] - grid.translation_nm[a]) / grid.voxel_size_nm[a]
            assert offset == pytest.approx(round(offset), abs=1e-4)


def test_a_slice_across_thin_sections_keeps_its_proportions():
    # 20 sections of 50 nm are as tall as 250 voxels of 4 nm.
    pixels = pixels_for(CROP, 1, (0, 100, 0), height_px=500, width_px=500)
    assert pixels.shape == (250, 500)
    assert pixels.nm_per_pixel == 4.0
    assert pixels.voxels_per_pixel == (0.08, 1.0)


def test_a_voxel_of_the_crop_is_found_in_the_picture_again():
    pixels = pixels_for(CROP, 0, (5, 100, 200), height_px=40, width_px=60, voxels_per_pixel=2)
    assert pixels.shape == (40, 60)
    assert pixels.pixel_of((5, 100, 200)) == (20, 30)
    assert pixels.pixel_of((5, 0, 200)) is None
    assert pixels.top_left_voxel == (60.0, 140.0)


def test_a_zoomed_window_stays_inside_the_crop():
    pixels = pixels_for(CROP, 0, (5, 0, 499), height_px=40, width_px=60, voxels_per_pixel=1)
    assert pixels.top_left_voxel == (0.0, 440.0)
    with_margin = pixels_for(CROP, 0, (5, 0, 499), height_px=40, width_px=60, voxels_per_pixel=1, margin_voxels=10)
    assert with_margin.top_left_voxel == (-10.0, 450.0)
