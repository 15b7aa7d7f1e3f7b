import json
import resource
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RefusedError, RequestError, Stopped
from cellmap_tui.volumes.geometry import level_grid, whole
from cellmap_tui.volumes.ngff import open_volume
from cellmap_tui.volumes.read import read_box
from cellmap_tui.volumes.write import MultiscaleWriter, level_count, write_array, write_multiscale

GRID = Grid((8.0, 4.0, 4.0), (100.0, 2.0, 0.0), (37, 70, 41))
SMALL = (16, 16, 16)


def noise(grid=GRID, dtype="u1", top=256):
    return np.random.default_rng(0).integers(0, top, grid.shape).astype(dtype)


def stored(path, name="s0"):
    return np.asarray(zarr.open_array(path / name, mode="r")[...])


def test_what_is_written_is_read_back_at_its_place(tmp_path):
    data = noise()
    write_multiscale(tmp_path / "em", data, GRID, chunks=SMALL)
    volume = open_volume(tmp_path / "em")
    assert [level.grid for level in volume.levels] == [level_grid(GRID, k) for k in range(len(volume.levels))]
    array, valid = read_box(volume.finest, whole(GRID))
    assert np.array_equal(array, data)
    assert valid.all()


def test_the_pyramid_ends_where_one_chunk_holds_it():
    assert level_count((64, 64, 64)) == 1
    assert level_count((65, 64, 64)) == 2
    assert level_count((400, 400, 400)) == 4
    assert level_count((1, 10_000_000, 1), (1, 1, 1)) == 12


@pytest.mark.parametrize("dtype", ["u1", "u2", "u8", "i4", "f4", "f8", "bool"])
def test_every_dtype_of_labels_and_em_is_stored_as_it_is(tmp_path, dtype):
    data = noise(dtype=dtype, top=200)
    write_multiscale(tmp_path / "em", data, GRID, levels=2)
    assert open_volume(tmp_path / "em").finest.dtype == np.dtype(dtype)
    assert np.array_equal(stored(tmp_path / "em"), data)


def test_coarser_em_is_the_mean_and_coarser_labels_the_majority(tmp_path):
    data = np.zeros((2, 2, 2), np.uint8)
    data[0, 0, 0] = 80
    grid = Grid((4.0,) * 3, (0.0,) * 3, data.shape)
    write_multiscale(tmp_path / "em", data, grid, levels=2, kind="em")
    write_multiscale(tmp_path / "label", data, grid, levels=2, kind="label")
    assert stored(tmp_path / "em", "s1").item() == 10
    assert stored(tmp_path / "label", "s1").item() == 0


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(1, 20)),
    st.tuples(*[st.integers(1, 17)] * 3),
    st.lists(st.integers(1, 23), min_size=1, max_size=6),
    st.sampled_from(["em", "label"]),
)
def test_slabs_of_any_thickness_make_the_same_volume(tmp_path_factory, shape, chunks, thicknesses, kind):
    folder = tmp_path_factory.mktemp("slabs")
    grid = Grid((8.0, 4.0, 4.0), (1.0, 2.0, 3.0), shape)
    data = noise(grid, top=4)
    write_multiscale(folder / "whole", data, grid, chunks=chunks, kind=kind, levels=3)
    with MultiscaleWriter(folder / "slabs", grid, "u1", kind, chunks, 3) as writer:
        z = 0
        while z < shape[0]:
            step = thicknesses[z % len(thicknesses)]
            writer.write(z, data[z : z + step])
            z = min(z + step, shape[0])
        writer.finish()
    for level in ("s0", "s1", "s2"):
        assert np.array_equal(stored(folder / "slabs", level), stored(folder / "whole", level))
    assert np.array_equal(stored(folder / "slabs"), data)


def test_the_layout_on_disk_is_that_of_the_challenge(tmp_path):
    write_multiscale(tmp_path / "d.zarr" / "recon-1" / "em" / "raw", noise(), GRID, attributes={"note": "mine"})
    group = tmp_path / "d.zarr" / "recon-1" / "em" / "raw"
    attributes = json.loads((group / ".zattrs").read_text())
    array = json.loads((group / "s0" / ".zarray").read_text())
    assert attributes["note"] == "mine"
    assert [axis["name"] for axis in attributes["multiscales"][0]["axes"]] == ["z", "y", "x"]
    assert attributes["multiscales"][0]["version"] == "0.4"
    assert array["zarr_format"] == 2
    assert array["dimension_separator"] == "/"
    assert array["fill_value"] == 0
    # tensorstore refuses zstd metadata with a checksum key
    assert "checksum" not in array["compressor"]
    for folder in (group, group.parent, group.parent.parent, tmp_path / "d.zarr"):
        assert json.loads((folder / ".zgroup").read_text()) == {"zarr_format": 2}
    assert not (tmp_path / ".zgroup").exists()


def test_chunks_of_background_are_not_written(tmp_path):
    data = np.zeros((32, 32, 32), np.uint8)
    data[20, 20, 20] = 1
    grid = Grid((4.0,) * 3, (0.0,) * 3, data.shape)
    write_multiscale(tmp_path / "label", data, grid, kind="label", chunks=SMALL, levels=1)
    files = [
        p.relative_to(tmp_path / "label" / "s0") for p in (tmp_path / "label" / "s0").rglob("[0-9]") if p.is_file()
    ]
    assert [str(file) for file in files] == ["1/1/1"]
    assert np.array_equal(stored(tmp_path / "label"), data)


def test_a_plain_array_has_its_place_in_its_attributes(tmp_path):
    data = noise(dtype="u2")
    write_array(tmp_path / "truth.zarr" / "crop1" / "mito", data, GRID)
    volume = open_volume(tmp_path / "truth.zarr" / "crop1" / "mito")
    assert volume.finest.grid == GRID
    assert np.array_equal(stored(volume.path, ""), data)
    assert (tmp_path / "truth.zarr" / "crop1" / ".zgroup").exists()


def test_nothing_is_overwritten_unless_asked(tmp_path):
    write_multiscale(tmp_path / "em", noise(), GRID, levels=1)
    for again in (write_multiscale, write_array):
        with pytest.raises(RefusedError, match="exists already"):
            again(tmp_path / "em", noise(), GRID)
    other = noise() // 2
    write_multiscale(tmp_path / "em", other, GRID, levels=1, overwrite=True)
    assert np.array_equal(stored(tmp_path / "em"), other)
    assert [p.name for p in tmp_path.iterdir()] == ["em"]


def test_data_that_cannot_be_stored_are_refused(tmp_path):
    with pytest.raises(RequestError, match="do not fit"):
        write_multiscale(tmp_path / "em", noise()[1:], GRID)
    with pytest.raises(RequestError, match="cannot be stored"):
        write_array(tmp_path / "em", np.zeros(GRID.shape, object), GRID)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RefusedError, match="cannot be written"):
        write_multiscale(tmp_path / "file" / "em", noise(), GRID)


def test_planes_out_of_order_are_a_mistake_of_the_caller(tmp_path):
    with MultiscaleWriter(tmp_path / "em", GRID, "u1") as writer:
        writer.write(0, noise()[:5])
        with pytest.raises(ValueError, match="not the next"):
            writer.write(6, noise()[6:7])
        with pytest.raises(ValueError, match="5 of 37 planes"):
            writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_giving_up_while_the_pyramid_is_built_leaves_nothing(tmp_path):
    def stop():
        raise Stopped("stopped")

    with MultiscaleWriter(tmp_path / "em", GRID, "u1", chunks=SMALL) as writer:
        writer.write(0, noise())
        with pytest.raises(Stopped):
            writer.finish(stop)
    assert list(tmp_path.iterdir()) == []


ENDLESS_WRITER = """
    import os, sys
    import numpy as np
    from pathlib import Path
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.write import MultiscaleWriter
    grid = Grid((4.0,) * 3, (0.0,) * 3, (40, 64, 64))
    writer = MultiscaleWriter(Path(sys.argv[1]), grid, "u1", chunks=(16, 16, 16))
    writer.write(0, np.ones((33, 64, 64), np.uint8))
    print("written", flush=True)
    sys.stdin.read()
"""


def test_a_killed_writer_leaves_no_half_group_and_the_next_one_clears_up(tmp_path):
    path = tmp_path / "em"
    command = [sys.executable, "-c", textwrap.dedent(ENDLESS_WRITER), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not path.exists()
    assert len(list(tmp_path.glob(".em.*.partial"))) == 1
    write_multiscale(path, noise(), GRID)
    assert [p.name for p in tmp_path.iterdir()] == ["em"]


def test_a_writer_that_is_alive_is_left_alone(tmp_path):
    with MultiscaleWriter(tmp_path / "em", GRID, "u1", chunks=SMALL) as slow:
        slow.write(0, noise()[:20])
        write_multiscale(tmp_path / "em", noise(), GRID, chunks=SMALL, overwrite=True)
        slow.write(20, noise()[20:])
        with pytest.raises(RefusedError):
            slow.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["em"]


LARGE_WRITER = """
    import sys
    import numpy as np
    from pathlib import Path
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.volumes.write import MultiscaleWriter
    grid = Grid((4.0,) * 3, (0.0,) * 3, (66, 4096, 4096))
    plane = (np.arange(4096) // 7 % 2).astype(np.uint8)
    with MultiscaleWriter(Path(sys.argv[1]), grid, "u1", "label", levels=3) as writer:
        for z in range(66):
            writer.write(z, np.broadcast_to(plane, (1, 4096, 4096)))
        writer.finish()
"""


@pytest.mark.slow
def test_a_volume_larger_than_the_address_space_is_written_plane_by_plane(tmp_path):
    limit = 1_000_000_000
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LARGE_WRITER), str(tmp_path / "label")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    volume = open_volume(tmp_path / "label")
    assert volume.finest.grid.voxels > limit
    row = np.asarray(zarr.open_array(tmp_path / "label" / "s0", mode="r")[65, 4095])
    assert np.array_equal(row, np.arange(4096) // 7 % 2)
