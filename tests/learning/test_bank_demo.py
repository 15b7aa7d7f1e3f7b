"""Banks of the demo's crops: nothing inferred is wrong, cores separate what touches, the data stay as they are."""

import random
from dataclasses import replace

import numpy as np
import pytest

from cellmap_tui.challenge.layout import crop_em_path, crop_path
from cellmap_tui.challenge.local import read_local_crops
from cellmap_tui.challenge.targets import Target, Targets, targets_of
from cellmap_tui.learning.bank import BankRequest, CropSource, open_bank
from cellmap_tui.learning.codebook import PRESENT, UNKNOWN
from cellmap_tui.learning.cores import grow_back
from cellmap_tui.scoring.instances import score_instance
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE
from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.volumes.arrays import open_level, read_inside
from cellmap_tui.volumes.geometry import whole
from cellmap_tui.volumes.ngff import open_volume

from .bank_data import dense, tree_hash


@pytest.fixture(scope="module")
def full_crop(tmp_path_factory):
    """The crop of a small demo with the most annotated classes, and its data root."""
    root = tmp_path_factory.mktemp("demo") / "demo"
    demo(DemoRequest(root=root, size="tiny", make_only=True), SilentReporter())
    crop = max(read_local_crops(root / "data"), key=lambda crop: len(crop.classes))
    labels = root / "data" / crop_path(crop)
    return CropSource(crop.ref, "train", root / "data" / crop_em_path(crop), labels, crop.classes), root / "data"


@pytest.mark.parametrize("times", [1, 1.5, 2, 4])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_inferred_is_never_wrong(full_crop, tmp_path, seed, times):
    source, root = full_crop
    before = tree_hash(root)
    size = tuple(times * s for s in open_volume(source.labels / "mito").finest.grid.voxel_size_nm)
    shown = tuple(random.Random(seed).sample(source.classes, len(source.classes) // 3))
    crops = (replace(source, classes=shown), source)
    plain = dense(open_bank(BankRequest(crops, targets_of(source.classes), size, tmp_path)))
    bank = open_bank(BankRequest(crops, targets_of(source.classes), size, tmp_path, use_mutual_exclusion=True))
    inferred, truth = dense(bank, 0), dense(bank, 1)
    known = inferred != UNKNOWN
    assert (inferred[known] == truth[known]).all()
    assert known.mean() > (plain != UNKNOWN).mean() + 0.2
    assert tree_hash(root) == before


def test_cores_find_the_demos_touching_vesicles(full_crop, tmp_path):
    source, _ = full_crop
    level = open_volume(source.labels / "ves").finest
    ids = read_inside(level, open_level(level), whole(level.grid))
    wanted = Targets((Target("ves", ("ves",), "instance", core=True),))
    mask, cores = dense(open_bank(BankRequest((source,), wanted, level.grid.voxel_size_nm, tmp_path))) == PRESENT
    size = level.grid.voxel_size_nm
    merged = score_instance(ids, mask.astype(np.uint8), size, DEFAULT_PROFILE)
    apart = score_instance(ids, grow_back(cores, mask), size, DEFAULT_PROFILE)
    assert merged.n_true >= 5
    assert apart.rq > merged.rq + 0.1
