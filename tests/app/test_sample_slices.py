"""Example slices are found and read without trust, and drawn as what they are."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.app import sample_slices
from cellmap_tui.app.sample_pictures import PANELS, draw_panel, figures, layout, shown_first
from cellmap_tui.app.sample_slices import SampleFolder, read_slice
from cellmap_tui.errors import DataError
from tests.app.live_parts import RUN, sample, write_samples

if TYPE_CHECKING:
    from pathlib import Path

PATH = RUN / "samples" / "epoch_00001" / "demo_cell-1_crop9001_z.npz"


def test_a_slice_is_read_as_it_was_written() -> None:
    write_samples()

    found = read_slice(PATH)

    assert found.names == ("mito", "er", "nuc", "ves")
    assert np.array_equal(found.truth, sample(1).truth)


def test_epochs_and_slices_are_listed_in_order() -> None:
    write_samples(epochs=(12, 1, 6))

    index = SampleFolder(RUN).look()

    assert index.epochs == (1, 6, 12)
    assert index.names == ("demo_cell-1_crop9001_y", "demo_cell-1_crop9001_z")
    assert index.near(7, index.names[0]) == 6


def test_the_same_folder_gives_the_same_index_until_it_changes() -> None:
    write_samples(epochs=(1,))
    folder = SampleFolder(RUN)
    first = folder.look()

    assert folder.look() is first

    write_samples(epochs=(2,))
    assert folder.look().epochs == (1, 2)


def test_what_is_no_slice_is_passed_over() -> None:
    write_samples(epochs=(1,))
    folder = RUN / "samples"
    (folder / "epoch_7").mkdir()
    (folder / "epoch_00002").write_text("a file")
    (folder / "notes").mkdir()
    (folder / "epoch_00001" / ".half.npz.3.tmp").write_bytes(b"")
    (folder / "epoch_00001" / "readme.txt").write_text("x")

    assert SampleFolder(RUN).look().epochs == (1,)


def test_a_run_without_slices_and_one_that_vanishes_have_none() -> None:
    import shutil

    assert SampleFolder(RUN).look().epochs == ()
    write_samples(epochs=(1,))
    folder = SampleFolder(RUN)
    folder.look()
    shutil.rmtree(RUN)

    assert folder.look().epochs == ()


def _rewritten(**changes: np.ndarray) -> None:
    with np.load(PATH) as kept:
        arrays = {**{name: kept[name] for name in kept.files}, **changes}
    np.savez_compressed(PATH, **arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": np.zeros((4, 4, 4), np.uint8)},
        {"raw": np.zeros((32, 32), np.float64)},
        {"truth": np.zeros((4, 32, 31), np.uint8)},
        {"truth": np.zeros((4, 0, 32), np.uint8)},
        {"names": np.array([{"a": 1}], dtype=object)},
        {"position": np.zeros(2)},
    ],
)
def test_arrays_that_are_no_slice_are_refused(changes) -> None:
    write_samples(epochs=(1,))
    with np.load(PATH) as kept:
        arrays = {**{name: kept[name] for name in kept.files}, **changes}
    np.savez_compressed(PATH, allow_pickle=True, **arrays)

    with pytest.raises(DataError, match=r"no example slice|do not fit"):
        read_slice(PATH)


def test_an_array_that_claims_more_than_it_holds_is_refused_before_room_is_made_for_it() -> None:
    write_samples(epochs=(1,))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1000, 4096, 4096)}
    )
    with zipfile.ZipFile(PATH, "w") as archive:
        archive.writestr("truth.npy", header.getvalue())

    with pytest.raises(DataError, match="cut short"):
        read_slice(PATH)


def test_an_archive_that_unpacks_to_more_than_a_slice_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(sample_slices, "MOST_BYTES", 1000)
    write_samples(epochs=(1,))

    with pytest.raises(DataError, match="larger than"):
        read_slice(PATH)


def test_a_pipe_in_place_of_a_file_does_not_hold_the_screen_up() -> None:
    PATH.parent.mkdir(parents=True)
    os.mkfifo(PATH)

    with pytest.raises(DataError, match="no example slice"):
        read_slice(PATH)


def test_a_header_that_is_no_python_is_told_in_words() -> None:
    write_samples(epochs=(1,))
    with zipfile.ZipFile(PATH) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(PATH, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part.replace(b"{'descr'", b"s'descr'"))
    with pytest.raises(DataError, match="has a header that nobody can read"):
        read_slice(PATH)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_told_in_words(data) -> None:
    write_samples(epochs=(1,))
    whole = PATH.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole[:cut] if data.draw(st.booleans()) else whole)
    if at < len(damaged):
        damaged[at] ^= data.draw(st.integers(1, 255))
    PATH.write_bytes(bytes(damaged))

    try:
        found = read_slice(PATH)
    except DataError as error:
        told = error.message
    else:
        told = PATH.name if found.truth.shape == (len(found.names), *found.raw.shape) else ""

    assert PATH.name in told


# Pictures


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("look", ["tint", "outline", "probability", "off"])
@pytest.mark.parametrize("column", [None, 0, 3])
def test_every_picture_has_the_pixels_that_were_asked_for(panel, look, column) -> None:
    for shape in ((8, 12), (32, 32), (70, 90)):
        assert draw_panel(sample(6), panel, column, look, shape).shape == (*shape, 3)


def test_unknown_truth_is_hatched_and_counts_for_nothing() -> None:
    found = sample(6)

    plain, hatched = (draw_panel(found, "truth", column, "tint", (32, 32)) for column in (2, 3))

    assert (plain != hatched).any()
    told = figures(replace(found, probability=np.full_like(found.probability, 255)), 3)
    assert (told.known, told.false, told.dice) == (0, 0, None)


def test_figures_count_right_hallucinated_and_missed_voxels() -> None:
    found = sample(6)

    told = figures(found, 1)

    assert (told.right, told.false, told.missed) == (7 * 32, 5 * 32, 0)
    assert told.dice == pytest.approx(2 * 7 / (2 * 7 + 5))


def test_the_class_that_a_slice_shows_most_of_comes_first() -> None:
    assert shown_first(sample(6))[0] == 1


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(5, 200),
    st.integers(3, 60),
    st.floats(0.1, 100) | st.sampled_from([0.0, float("nan"), float("inf")]),
)
def test_pictures_never_leave_the_room_there_is(count, width, height, down_nm) -> None:
    found = replace(sample(1), voxel_size_nm=(8.0, down_nm, 8.0))

    laid = layout(count, found, width, height)

    assert laid.columns * laid.width + laid.columns - 1 <= max(width, 2 * laid.columns)
    assert laid.rows * (laid.height // 2 + 1) <= max(height, 2 * laid.rows)
    assert laid.columns * laid.rows >= count


def test_long_voxels_make_long_pictures() -> None:
    square = layout(1, sample(1), 60, 31)
    flat = layout(1, replace(sample(1), voxel_size_nm=(8.0, 8.0, 32.0)), 64, 31)

    assert square.width == square.height
    assert flat.width == 4 * flat.height


def test_samples_stay_below_the_run(tmp_path: Path) -> None:
    write_samples(tmp_path / "run", epochs=(1,))
    assert all((tmp_path / "run") in path.parents for path in SampleFolder(tmp_path / "run").look().paths.values())
