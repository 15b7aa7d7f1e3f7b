"""What is said when a split leaves out what is annotated."""

from __future__ import annotations

import pytest

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import MissingDataError
from cellmap_tui.learning.bank_sources import plan_crops
from tests.learning.bank_data import blobs, noise, request, source, write_em, write_labels

GRID = Grid((8.0, 8.0, 8.0), (4.0, 4.0, 4.0), (16, 16, 16))


def sources(root, classes, crops=(1,)):
    em = write_em(root, noise(GRID.shape), GRID)
    labels = [write_labels(root, crop, GRID, nuc=blobs(GRID.shape), er=blobs(GRID.shape, 1)) for crop in crops]
    return [source(em, folder, classes=classes) for folder in labels]


def test_a_class_that_the_split_does_not_name_is_told_with_how_to_name_it(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        plan_crops(request(tmp_path, *sources(tmp_path, ("nuc",), (1, 2)), targets=("nuc", "er")))
    assert "the split names only nuc; 2 of its crops are annotated for 'er' as well" in caught.value.message
    assert "make-datasplit -c nuc,er -cp" in caught.value.remedy
    assert "nobody annotated" not in caught.value.message


def test_a_class_that_nobody_annotated_is_told_as_such(tmp_path):
    with pytest.raises(MissingDataError, match=r"mito.*not annotated"):
        plan_crops(request(tmp_path, *sources(tmp_path, ("nuc", "er")), targets=("nuc", "mito")))


def test_a_class_that_is_named_and_too_coarse_is_told_as_such(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        plan_crops(request(tmp_path, *sources(tmp_path, ("nuc",)), targets=("nuc",), scale=2.0))
    assert "coarser than 2 nm" in caught.value.message
    assert "choose a coarser voxel size" not in caught.value.message  # told once, as what to do
    assert caught.value.remedy == "choose a coarser voxel size, or enlarge them with --coarse-labels upsample"
