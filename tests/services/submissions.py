"""Small submissions, truths and manifests, written as the challenge has them."""

from __future__ import annotations

import zipfile

import numpy as np
import zarr

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.volumes.write import write_array

SHAPE = (24, 28, 32)
VOXEL_NM = (8.0, 8.0, 8.0)
ORIGIN_NM = (121600.0, 105200.0, 23200.0)
GRID = Grid(VOXEL_NM, ORIGIN_NM, SHAPE)
HEADER = "crop_name,dataset,class_label,voxel_size,translation,shape"


def blobs(n=3, shape=SHAPE, dtype=np.uint16):
    """Cubes with ids 1 to n that do not touch."""
    array = np.zeros(shape, dtype)
    for i in range(n):
        z, y, x = 2 + 7 * (i % 3), 2 + 8 * (i // 3 % 3), 2 + 9 * (i // 9)
        array[z : z + 4, y : y + 5, x : x + 6] = i + 1
    return array


def mask(shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[5:15, 6:20, 7:22] = 1
    return array


def write_store(root, volumes, grid=GRID):
    """Write ``{(crop, label): array}`` as plain arrays."""
    for (crop, label), array in volumes.items():
        place = Grid(grid.voxel_size_nm, grid.translation_nm, array.shape)
        write_array(root / crop / label, array, place, attributes={"shape": list(array.shape)})
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    return root


def write_manifest(path, pairs, grid=GRID, dataset="jrc_zf-cardiac-1"):
    def cell(values):
        return f"[{';'.join(map(str, values))}]"

    place = f"{cell(grid.voxel_size_nm)},{cell(grid.translation_nm)},{cell(grid.shape)}"
    rows = [f"{crop.removeprefix('crop')},{dataset},{label},{place}" for crop, label in pairs]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def zip_folder(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{prefix}{file.relative_to(folder)}")
    return path


def write_group(path, array, grid=GRID):
    """Write a label as a plain group with s0."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    s0 = group.create_array("s0", shape=array.shape, dtype=array.dtype, chunks=(16, 16, 16))
    s0[...] = array
    s0.attrs.update({"voxel_size": list(grid.voxel_size_nm), "translation": list(grid.translation_nm)})
