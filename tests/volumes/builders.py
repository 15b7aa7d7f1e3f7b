"""Grids, ramps and volumes for the tests of volumes."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid

measured_sizes = st.sampled_from([1.62, 2.0, 2.62, 4.0, 5.24, 8.0, 50.0])
voxel_sizes = measured_sizes | st.integers(100, 6400).map(lambda n: n / 100)
positions = st.integers(-10_000_000, 10_000_000).map(lambda n: n / 100)
grids = st.builds(
    Grid,
    st.tuples(voxel_sizes, voxel_sizes, voxel_sizes),
    st.tuples(positions, positions, positions),
    st.tuples(*[st.integers(1, 50)] * 3),
)
"""Any grid: anisotropic, at odd places, with sizes that floats do not hold exactly."""


def centres(grid):
    """World positions of the voxel centres, broadcastable z, y, x."""
    z, y, x = (
        t + s * np.arange(n) for t, s, n in zip(grid.translation_nm, grid.voxel_size_nm, grid.shape, strict=True)
    )
    return z[:, None, None], y[None, :, None], x[None, None, :]


def ramp(grid):
    """A function that is linear in world space, at the voxel centres."""
    z, y, x = centres(grid)
    return 3.0 * z - 2.0 * y + 0.5 * x + 7.0


def zattrs(levels, **multiscale):
    """The ``.zattrs`` of a group; levels are (path, scale, translation or None)."""
    datasets = [
        {
            "path": path,
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                *([] if translation is None else [{"type": "translation", "translation": translation}]),
            ],
        }
        for path, scale, translation in levels
    ]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets, **multiscale}]}


def zarray(shape=(4, 4, 4), chunks=(2, 2, 2), dtype="|u1", **more):
    """The ``.zarray`` of an uncompressed array."""
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": dtype,
        "order": "C",
        "fill_value": 0,
        "compressor": None,
        "filters": None,
        **more,
    }


def write_group(path, attributes, arrays):
    """Write a group's metadata by hand, as another program would have."""
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(attributes if isinstance(attributes, str) else json.dumps(attributes))
    for name, array in arrays.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        (path / name / ".zarray").write_text(array if isinstance(array, str) else json.dumps(array))
