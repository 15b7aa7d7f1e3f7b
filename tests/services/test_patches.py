"""From a split on disk to batches and a picture: what is drawn, what is said, and that data stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import cellmap_tui as cm
from cellmap_tui.challenge.datasplit import read_split, write_split
from cellmap_tui.errors import MissingDataError, RefusedError, RequestError, UnknownNameError
from cellmap_tui.services.models import from_json, to_json
from cellmap_tui.services.patches import make_patches
from cellmap_tui.services.patches_model import DEFAULT_SPATIAL, PatchesRequest
from cellmap_tui.services.patches_open import context_of
from cellmap_tui.services.report import SilentReporter
from tests.learning.bank_data import tree_hash
from tests.services.split_data import make_dataset

CROPS = {1: {"mito": 0.5, "nuc": 0.25}, 2: {"mito": 0.25}, 3: {"mito": 0.0, "own_label": 0.5}}


@pytest.fixture
def split(tmp_path):
    """A split of three small crops, one with a class of its own."""
    make_dataset(tmp_path / "data", "own", CROPS)
    cm.make_datasplit(
        csv_path=tmp_path / "split.csv", data_root=tmp_path / "data", classes=("mito", "nuc", "own_label"),
        validate_ratio=0.0, state_dir=tmp_path / "state",
    )  # fmt: skip
    return tmp_path / "split.csv"


def request_for(split, **options):
    values = {"shape": (12, 12, 12), "count": 12, "show": 0, "cache_dir": split.parent / "banks", "workers": 1}
    return PatchesRequest(split=split, **(values | options))


def test_a_request_survives_its_run_directory(split):
    request = request_for(split, targets=split, slicing_axes=("z",), cores=("mito",))
    assert from_json(to_json(request), PatchesRequest, source="request").spatial == DEFAULT_SPATIAL
    assert to_json(from_json(to_json(request), PatchesRequest, source="request")) == to_json(request)


def test_patches_are_counted_shown_and_the_data_left_alone(split):
    before = tree_hash(split.parent / "data")
    picture = split.parent / "out" / "patches.png"
    result = make_patches(request_for(split, show=5, output=picture), SilentReporter())
    assert tree_hash(split.parent / "data") == before
    assert result.crops == 3
    assert [column.name for column in result.columns] == ["mito", "nuc", "own_label"]
    assert {column.name: column.crops_with for column in result.columns} == {"mito": 2, "nuc": 1, "own_label": 1}
    for column in result.columns:
        assert abs(column.present + column.absent + column.unknown - 1) < 1e-9
        assert column.unknown > 0
    assert sum(result.draws.values()) == result.patches == 12
    assert 0 < result.raw_mean < 1
    from PIL import Image

    with Image.open(picture) as image:
        pixels = np.asarray(image)
    assert pixels.shape[0] > 5 * 160
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_flat_patches_and_several_inputs_are_shown_too(split):
    from cellmap_tui.learning.config_arrays import ArrayInfo

    inputs = (ArrayInfo("near", (1, 12, 12), (8.0,) * 3), ArrayInfo("far", (1, 12, 12), (16.0,) * 3))
    picture = split.parent / "flat.png"
    make_patches(request_for(split, shape=(1, 12, 12), inputs=inputs, show=2, output=picture), SilentReporter())
    assert picture.stat().st_size > 500
    wide = (ArrayInfo("far", (6, 8, 10), (16.0,) * 3),)
    make_patches(request_for(split, inputs=wide, show=2, output=picture), SilentReporter())


def test_ten_lines_of_a_loop_of_ones_own_learn(split):
    torch.manual_seed(0)
    patches = cm.patches(
        split, classes=("mito", "nuc"), shape=(8, 8, 8), batch_size=2, batches=6, workers=1,
        cache_dir=split.parent / "banks",
    )  # fmt: skip
    model = torch.nn.Conv3d(1, 2, 3, padding=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    seen = 0
    for _ in range(2):
        for batch in patches:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model(batch.raw), batch.target, weight=batch.mask.float(), reduction="sum"
            ) / batch.mask.sum().clamp(min=1)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += len(batch)
    assert seen == 24
    assert torch.isfinite(loss)
    assert len(patches) == 6


def test_the_same_request_gives_the_same_patches(split):
    options = {"shape": (8, 8, 8), "batches": 3, "cache_dir": split.parent / "banks"}
    first = [batch.raw for batch in cm.patches(split, workers=0, **options)]
    for one, other in zip(first, cm.patches(str(split), workers=2, **options), strict=True):
        assert torch.equal(one, other.raw)


def test_a_split_whose_paths_are_gone_says_so(split):
    (split.parent / "data").rename(split.parent / "moved")
    with pytest.raises(MissingDataError, match="own/crop1"):
        make_patches(request_for(split), SilentReporter())


def test_a_usage_without_crops_is_named(split):
    with pytest.raises(MissingDataError, match="no crop for validate"):
        make_patches(request_for(split, usage="validate"), SilentReporter())


def test_a_class_nobody_annotated_or_knows_is_named(split):
    with pytest.raises(MissingDataError, match="golgi"):
        make_patches(request_for(split, classes=("mito", "golgi")), SilentReporter())
    with pytest.raises(UnknownNameError, match="mitto"):
        make_patches(request_for(split, classes=("mitto",)), SilentReporter())


def test_labels_coarser_than_the_voxels_say_what_helps(split):
    with pytest.raises(MissingDataError, match="coarser"):
        make_patches(request_for(split, voxel_size_nm=(4.0,) * 3), SilentReporter())


def test_cores_are_for_instances_alone(split):
    with pytest.raises(RequestError, match="core"):
        make_patches(request_for(split, classes=("mito", "own_label"), cores=("own_label",)), SilentReporter())
    result = make_patches(request_for(split, classes=("mito",), cores=("mito",)), SilentReporter())
    assert [column.name for column in result.columns] == ["mito", "mito/core"]


def test_a_split_without_classes_takes_what_the_crops_have(split):
    from dataclasses import replace

    rows = tuple(replace(row, classes=()) for row in read_split(split).rows)
    write_split(split, replace(read_split(split), rows=rows))
    with pytest.raises(RequestError, match="no class is named"):
        make_patches(request_for(split), SilentReporter())
    assert make_patches(request_for(split, classes=("own_label",)), SilentReporter()).crops == 1


def test_em_is_kept_as_far_as_patches_reach():
    from pathlib import Path

    plain = PatchesRequest(split=Path("s.csv"), shape=(8, 16, 32), augment=False)
    assert context_of(plain) == (4, 8, 16)
    turned = PatchesRequest(split=Path("s.csv"), shape=(8, 16, 32))
    assert context_of(turned) == (16, 16, 16)
    flat = PatchesRequest(split=Path("s.csv"), shape=(1, 64, 64), augment=False, voxel_size_nm=(16.0, 8.0, 8.0))
    assert context_of(flat) == (16, 32, 32)


def test_numbers_out_of_range_are_refused():
    from pathlib import Path

    for options in ({"shape": (0, 8, 8)}, {"voxel_size_nm": (0.0, 8.0, 8.0)}, {"count": 0}, {"show": -1}):
        with pytest.raises(RequestError):
            PatchesRequest(split=Path("s.csv"), **options)


@pytest.mark.parametrize(("name", "error"), [("split.csv", RequestError), ("looks.png", RefusedError)])
def test_a_picture_replaces_no_file_that_is_none(split, name, error):
    output = split.parent / name
    if not output.exists():
        output.write_text("not a picture")
    before = output.read_bytes()
    with pytest.raises(error, match=r"PNG"):
        make_patches(request_for(split, show=1, output=output), SilentReporter())
    assert output.read_bytes() == before
    assert not (split.parent / "banks").exists()
