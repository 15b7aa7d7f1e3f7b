"""Coarser EM levels that the bucket lacks."""

from __future__ import annotations

import shutil

import numpy as np
import zarr

from cellmap_tui.services.fetch import fetch
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.verify import verify
from tests.services.fetching import EM
from tests.services.test_verify import request as verify_request


def voxels(root, level):
    return np.asarray(zarr.open_array(root / EM / level, mode="r", zarr_format=2)[:])


def test_a_level_that_the_bucket_lacks_is_made_from_the_finer_one(world):
    expected = voxels(world.source, "s2")
    shutil.rmtree(world.source / EM / "s2")
    result = fetch(world.request("1", make_levels=True), SilentReporter())
    assert result.exit_code == 0
    assert result.made_levels == (f"{EM}/s2",)
    made = voxels(world.data, "s2")
    assert made.shape == expected.shape
    # Crop 1 covers voxels 8-33, 8-17, 8-17 of s0.
    assert (made[2:9, 2:5, 2:5] == expected[2:9, 2:5, 2:5]).all()
    assert not made[9:].any()


def test_a_made_level_grows_with_the_next_crop(world):
    expected = voxels(world.source, "s2")
    shutil.rmtree(world.source / EM / "s2")
    fetch(world.request("1", make_levels=True), SilentReporter())
    fetch(world.request("2", make_levels=True), SilentReporter())
    made = voxels(world.data, "s2")
    assert (made[2:5, 3:7, 3:7] == expected[2:5, 3:7, 3:7]).all()
    assert (made[2:9, 2:5, 2:5] == expected[2:9, 2:5, 2:5]).all()


def test_a_chunk_that_the_bucket_lacks_is_made_and_one_that_it_has_is_not(world):
    expected = voxels(world.source, "s1")
    (world.source / EM / "s1/0/0/0").unlink()
    result = fetch(world.request("1", make_levels=True), SilentReporter())
    assert result.made_levels == (f"{EM}/s1",)
    assert (voxels(world.data, "s1")[4:16, 4:8, 4:8] == expected[4:16, 4:8, 4:8]).all()
    assert (world.data / EM / "s1/1/0/0").read_bytes() == (world.source / EM / "s1/1/0/0").read_bytes()


def test_nothing_is_made_where_the_bucket_has_everything(world):
    assert fetch(world.request("1", make_levels=True), SilentReporter()).made_levels == ()


def test_made_levels_are_no_fault_to_a_check(world):
    shutil.rmtree(world.source / EM / "s2")
    fetch(world.request("1", make_levels=True), SilentReporter())
    assert verify(verify_request(world), SilentReporter()).exit_code == 0


def test_without_the_finer_level_nothing_is_invented(world):
    shutil.rmtree(world.source / EM / "s2")
    result = fetch(world.request("1", levels=("s0",), make_levels=True), SilentReporter())
    assert not (world.data / EM / "s2/0").exists()
    assert result.made_levels == ()
