"""The demo's data on disk: layout, consistency, and that they are hard enough to mean something."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from cellmap_tui.challenge.catalog import builtin_catalog, load_catalog
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import ALL_IDS, crop_path, em_path, label_path, local_share
from cellmap_tui.services.demo import DemoRequest, DemoResult, demo
from cellmap_tui.services.demo_plan import ABSENT, PEROXISOMES, demo_plan
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.settings import BUCKET
from cellmap_tui.volumes.ngff import open_multiscale, open_volume
from cellmap_tui.volumes.read import read_region

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop

TABLE = builtin_classes()
INSTANCE = {info.name for info in TABLE if info.scoring == "instance"}
UNSCORED_IN_ALL = {"nucleo"}
"""Ids that `all` may have though no array of their own is annotated."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    root = tmp_path_factory.mktemp("demo") / "root"
    return demo(
        DemoRequest(root, size="tiny", make_only=True, user_data_root=root.parent / "elsewhere"), SilentReporter()
    )


@pytest.fixture(scope="module")
def crops(made: DemoResult) -> list[Crop]:
    return [crop for crop in load_catalog(data_root=made.data_root).crops if crop.source == "demo"]


@pytest.fixture(scope="module")
def training(crops: list[Crop]) -> list[Crop]:
    return [crop for crop in crops if crop.split == "train"]


def labels(made: DemoResult, crop: Crop, name: str) -> np.ndarray:
    if crop.split == "test":
        return zarr.open_array(made.truth_path / crop.name / name, mode="r")[...]
    return zarr.open_array(made.data_root / label_path(crop, name) / "s0", mode="r")[...]


def ids_of(name: str) -> set[int]:
    """Return the ids that stand for a class in `all`: its own, its members', and those of groups inside it."""
    info = TABLE.get(name)
    members = {*info.member_ids}
    inner = (group.id for group in TABLE if group.is_group and {*group.member_ids} <= members)
    return {info.id, *members, *inner}


def em_under(made: DemoResult, crop: Crop) -> np.ndarray:
    return read_region(open_multiscale(made.data_root / em_path(crop.dataset)), crop.grid, "em").array


# -- what is there ------------------------------------------------------------------------------


def test_the_result_names_what_exists(made: DemoResult) -> None:
    assert len(made.crops["train"]) >= 8
    assert len(made.crops["test"]) == 2
    assert made.bucket_root.joinpath(BUCKET).is_dir()
    for path in (made.manifest, made.train_manifest, made.test_manifest):
        assert path.is_file()
    assert [step.name for step in made.steps] == ["make data"]
    assert made.size_bytes < 40e6


def test_there_are_two_datasets_with_an_anisotropic_one_and_several_voxel_sizes(crops: list[Crop]) -> None:
    sizes = {crop.grid.voxel_size_nm for crop in crops if crop.split == "train"}
    assert len({crop.dataset for crop in crops}) == 2
    assert len(sizes) >= 5
    assert any(crop.grid.is_anisotropic for crop in crops)


def test_no_crop_has_the_number_of_a_challenge_crop(crops: list[Crop]) -> None:
    assert not {crop.id for crop in crops} & {crop.id for crop in builtin_catalog().crops}


def test_every_crop_is_wholly_local(made: DemoResult, crops: list[Crop]) -> None:
    assert [local_share(made.data_root, crop) for crop in crops] == [1.0] * len(crops)


def test_data_root_and_bucket_hold_equal_bytes_in_different_files(made: DemoResult, crops: list[Crop]) -> None:
    bucket = made.bucket_root / BUCKET
    names = {p.relative_to(bucket) for p in bucket.rglob("*") if p.is_file()}
    local = {p.relative_to(made.data_root) for p in made.data_root.rglob("*") if p.is_file()}
    assert {path for path in local if path.parts[0] != ".cellmap-tui"} == names
    for name in names:
        one, other = bucket / name, made.data_root / name
        assert one.read_bytes() == other.read_bytes()
        assert not one.samefile(other)


def test_test_crops_have_no_labels_in_the_bucket_nor_in_the_data_root(made: DemoResult, crops: list[Crop]) -> None:
    for crop in crops:
        if crop.split == "test":
            assert not (made.bucket_root / BUCKET / crop_path(crop)).exists()
            assert not (made.data_root / crop_path(crop)).exists()


def test_test_crops_share_no_voxel_with_training_crops(crops: list[Crop]) -> None:
    for test in (crop for crop in crops if crop.split == "test"):
        for other in crops:
            if other.split == "train" and other.dataset == test.dataset:
                lower = np.maximum(test.grid.lower_nm, other.grid.lower_nm)
                upper = np.minimum(test.grid.upper_nm, other.grid.upper_nm)
                assert (upper - lower).min() < 1e-6


# -- manifests ----------------------------------------------------------------------------------


def test_manifests_have_the_published_columns(made: DemoResult) -> None:
    def head(path: Path) -> str:
        return path.read_text().splitlines()[0]

    assert head(made.manifest) == "crop_number,collection,alignment,crop_url,em_url"
    for path in (made.train_manifest, made.test_manifest):
        assert head(path) == "crop_name,dataset,class_label,voxel_size,translation,shape"


def test_every_address_in_the_manifest_exists_in_the_bucket(made: DemoResult) -> None:
    with made.manifest.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["crop_number"]) for row in rows] == list(made.crops["train"])
    for row in rows:
        for column in ("crop_url", "em_url"):
            assert row[column].startswith(f"s3://{BUCKET}/")
            assert (made.bucket_root / row[column].removeprefix("s3://")).is_dir()


def test_annotation_manifests_agree_with_the_arrays(made: DemoResult, crops: list[Crop]) -> None:
    by_id = {crop.id: crop for crop in crops}
    for manifest, split in ((made.train_manifest, "train"), (made.test_manifest, "test")):
        with manifest.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == sum(len(crop.classes) for crop in crops if crop.split == split)
        for row in rows:
            crop = by_id[int(row["crop_name"])]
            place = label_path(crop, row["class_label"])
            path = made.truth_path / crop.name / place.name if split == "test" else made.data_root / place
            grid = open_volume(path).finest.grid
            for column, values in (
                ("voxel_size", grid.voxel_size_nm),
                ("translation", grid.translation_nm),
                ("shape", grid.shape),
            ):
                assert re.fullmatch(r"\[[\d.]+;[\d.]+;[\d.]+\]", row[column])
                assert tuple(map(float, row[column][1:-1].split(";"))) == tuple(values)


def test_manifests_pass_the_catalogs_own_reader(made: DemoResult, crops: list[Crop]) -> None:
    from cellmap_tui.challenge.manifest_rows import ManifestFile
    from cellmap_tui.challenge.manifests import parse_manifests

    paths = {"manifest": made.manifest, "train_manifest": made.train_manifest, "test_manifest": made.test_manifest}
    files = {name: ManifestFile(str(path), path.read_bytes()) for name, path in paths.items()}
    manifests = parse_manifests(**files)
    read = {crop.ref: (crop.grid, crop.classes, crop.split) for crop in manifests.crops}
    assert read == {crop.ref: (crop.grid, crop.classes, crop.split) for crop in crops}


# -- geometry -----------------------------------------------------------------------------------


def test_crops_lie_inside_their_em_with_edges_on_edges_of_em_voxels(crops: list[Crop]) -> None:
    em = {plan.name: plan.em_grid for plan in demo_plan("tiny")}
    for crop in crops:
        grid = em[crop.dataset]
        steps = [(a - b) / s for a, b, s in zip(crop.grid.lower_nm, grid.lower_nm, grid.voxel_size_nm, strict=True)]
        assert np.allclose(steps, np.round(steps), atol=1e-6)
        assert all(a >= b - 1e-6 for a, b in zip(crop.grid.lower_nm, grid.lower_nm, strict=True))
        assert all(a <= b + 1e-6 for a, b in zip(crop.grid.upper_nm, grid.upper_nm, strict=True))


def test_coarser_labels_start_half_a_difference_off_the_em_grid(crops: list[Crop]) -> None:
    crop = next(c for c in crops if c.grid.voxel_size_nm == (16.0, 16.0, 16.0) and c.dataset == "demo_cell-1")
    em = next(plan.em_grid for plan in demo_plan("tiny") if plan.name == crop.dataset)
    offsets = [(a - b) % 8 for a, b in zip(crop.grid.translation_nm, em.translation_nm, strict=True)]
    assert offsets == [4.0, 4.0, 4.0]


def test_no_em_starts_at_the_origin_on_every_axis() -> None:
    assert all(any(plan.em_grid.lower_nm) for plan in demo_plan("small"))


def test_the_em_has_a_pyramid_of_area_means(made: DemoResult) -> None:
    volume = open_multiscale(made.data_root / em_path("demo_cell-1"))
    fine, coarse = (zarr.open_array(level.path, mode="r")[...].astype(float) for level in volume.levels[:2])
    z, y, x = (2 * n for n in coarse.shape)
    mean = fine[:z, :y, :x].reshape(z // 2, 2, y // 2, 2, x // 2, 2).mean(axis=(1, 3, 5))
    assert np.abs(mean - coarse).max() <= 0.51


def test_labels_lie_on_the_em_they_belong_to(made: DemoResult, training: list[Crop]) -> None:
    """Membranes are darker than lumens at the right voxels, and less so when the labels are moved by two voxels."""
    checked = 0
    for crop in (c for c in training if max(c.grid.voxel_size_nm) <= 10.48 and "mito_mem" in c.classes):
        em = em_under(made, crop).astype(float)
        mask = labels(made, crop, "pm") > 0
        if mask.sum() < 200:
            continue
        here = em[mask].mean()
        for axis in range(3):
            for shift in (-2, 2):
                assert here < em[np.roll(mask, shift, axis=axis)].mean()
        checked += 1
    assert checked >= 3


# -- labels -------------------------------------------------------------------------------------


def test_every_id_is_known_to_the_class_table(made: DemoResult, training: list[Crop]) -> None:
    for crop in training:
        assert all(TABLE.by_id(int(i)) for i in np.unique(labels(made, crop, ALL_IDS)) if i)


def test_all_is_the_union_of_the_annotated_classes(made: DemoResult, training: list[Crop]) -> None:
    for crop in training:
        union = np.zeros(crop.grid.shape, bool)
        for name in crop.classes:
            union |= labels(made, crop, name) > 0
        assert np.array_equal(labels(made, crop, ALL_IDS) > 0, union)


def test_all_holds_the_finest_annotated_id(made: DemoResult, training: list[Crop]) -> None:
    for crop in training:
        everything = labels(made, crop, ALL_IDS)
        annotated = {TABLE.get(name).id for name in crop.classes}
        extra = {TABLE.get(name).id for name in UNSCORED_IN_ALL}
        assert {int(i) for i in np.unique(everything)} <= {0, *annotated, *extra}
        for name in crop.classes:
            assert np.array_equal(labels(made, crop, name) > 0, np.isin(everything, list(ids_of(name))))


def test_groups_are_exact_unions_of_their_annotated_members(made: DemoResult, crops: list[Crop]) -> None:
    checked = 0
    for crop in crops:
        for name in crop.classes:
            members = {m.name for m in TABLE.members(name)}
            if not members or not {"mito_mem", "mito_lum"} & members & set(crop.classes):
                continue
            union = np.zeros(crop.grid.shape, bool)
            for member in members & set(crop.classes):
                union |= labels(made, crop, member) > 0
            group = labels(made, crop, name) > 0
            assert not (union & ~group).any()
            if name == "mito":
                assert np.array_equal(union, group)
                checked += 1
    assert checked >= 6


def test_atomic_classes_exclude_each_other(made: DemoResult, crops: list[Crop]) -> None:
    for crop in crops:
        atomic = [name for name in crop.classes if not TABLE.get(name).is_group]
        total = np.zeros(crop.grid.shape, np.uint8)
        for name in atomic:
            total += labels(made, crop, name) > 0
        assert total.max(initial=0) <= 1


def test_instance_classes_hold_object_ids_and_semantic_ones_0_and_1(made: DemoResult, crops: list[Crop]) -> None:
    for crop in crops:
        for name in crop.classes:
            array = labels(made, crop, name)
            if name in INSTANCE:
                assert array.dtype == np.uint16
            else:
                assert array.dtype == np.uint8
                assert array.max() <= 1
    many = max(labels(made, crop, "mito").max() for crop in crops if "mito" in crop.classes)
    assert many > 5


def test_an_object_keeps_its_id_across_overlapping_crops(made: DemoResult, training: list[Crop]) -> None:
    """Crops 9003 and 9005 overlap: where their voxel centres are near, the same mitochondrion has the same id."""
    by_id = {crop.id: crop for crop in training}
    fine, coarse = by_id[9003], by_id[9005]
    moved = read_region(open_volume(made.data_root / label_path(fine, "mito")), coarse.grid, "label")
    there = labels(made, coarse, "mito")
    both = (moved.array > 0) & (there > 0)
    assert both.sum() > 5
    assert (moved.array[both] == there[both]).mean() > 0.9


def test_one_class_is_annotated_and_empty_everywhere(made: DemoResult, crops: list[Crop]) -> None:
    annotated = [crop for crop in crops if set(PEROXISOMES) <= set(crop.classes)]
    assert len(annotated) >= 4
    for crop in annotated:
        for name in PEROXISOMES:
            assert not labels(made, crop, name).any()


def test_one_crop_carries_all_classes_of_the_challenge(training: list[Crop]) -> None:
    assert {info.name for info in TABLE.scored} in [set(crop.classes) for crop in training]
    assert all(TABLE.get(name).scoring for name in ABSENT)


def test_one_crop_lacks_a_class_that_lies_in_it(made: DemoResult, training: list[Crop]) -> None:
    crop = next(crop for crop in training if crop.id == 9002)
    assert not {"er", "er_mem", "er_lum"} & set(crop.classes)
    assert {"cell", "cyto"} <= set(crop.classes)
    only_cell = labels(made, crop, ALL_IDS) == TABLE.get("cell").id
    assert only_cell.any(), "where the class lies, the finest known id is that of the group"


def test_the_resin_crop_is_noise_without_any_label(made: DemoResult, training: list[Crop]) -> None:
    crop = next(crop for crop in training if crop.id == 9006)
    assert len(crop.classes) > 10
    for name in (*crop.classes, ALL_IDS):
        assert not labels(made, crop, name).any()
    em = em_under(made, crop).astype(float)
    assert em.std() > 5
    planes = em - em.mean(axis=(1, 2), keepdims=True)
    low_pass = planes.reshape(len(em), -1)[:, : em.shape[1] * em.shape[2] // 9 * 9]
    assert np.abs(low_pass.reshape(len(em), -1, 9).mean(axis=2)).std() < em.std() / 2, "no structure, only noise"


def test_groups_say_what_their_values_mean(made: DemoResult, training: list[Crop]) -> None:
    crop = training[0]
    group = json.loads((made.data_root / label_path(crop, "mito") / ".zattrs").read_text())
    assert group["cellmap"]["annotation"]["annotation_type"]["type"] == "instance_segmentation"
    array = json.loads((made.data_root / label_path(crop, "er") / "s0" / ".zattrs").read_text())
    absent = array["cellmap"]["annotation"]["complement_counts"]["absent"]
    assert absent == int((labels(made, crop, "er") == 0).sum())
    whole = json.loads((made.data_root / crop_path(crop) / ".zattrs").read_text())
    assert whole["cellmap"]["annotation"]["class_names"] == list(crop.classes)


def test_the_truth_is_laid_out_as_a_submission(made: DemoResult, crops: list[Crop]) -> None:
    for crop in (c for c in crops if c.split == "test"):
        assert {p.name for p in (made.truth_path / crop.name).iterdir() if p.is_dir()} == set(crop.classes)
        array = zarr.open_array(made.truth_path / crop.name / "nuc", mode="r")
        place = Grid(tuple(array.attrs["voxel_size"]), tuple(array.attrs["translation"]), tuple(array.attrs["shape"]))
        assert place == crop.grid
        assert array.shape == crop.grid.shape


# -- hard enough --------------------------------------------------------------------------------


def best_threshold_dice(foreground: np.ndarray, background: np.ndarray) -> float:
    """Return the best Dice of any threshold, either side, from the histograms of grey values."""
    best = 0.0
    for front, back in ((foreground, background), (foreground[::-1], background[::-1])):
        hits, false = np.cumsum(front), np.cumsum(back)
        best = max(best, float((2 * hits / (hits + false + front.sum())).max()))
    return best


@pytest.mark.parametrize("name", ["nuc", "mito", "er"])
def test_no_threshold_on_the_em_finds_an_organelle(made: DemoResult, crops: list[Crop], name: str) -> None:
    """All voxels of all crops that annotate the class, at each crop's voxel size, pooled; every grey, both sides."""
    histograms = np.zeros((2, 256))
    for crop in (c for c in crops if name in c.classes):
        em, mask = em_under(made, crop), labels(made, crop, name) > 0
        histograms[0] += np.bincount(em[mask], minlength=256)
        histograms[1] += np.bincount(em[~mask], minlength=256)
    assert histograms[0].sum() > 1000
    assert best_threshold_dice(*histograms) < 0.5


def touching(ids: np.ndarray) -> tuple[int, int]:
    """Return the number of objects, and of those with a voxel whose 26-neighbourhood has another id."""
    padded = np.pad(ids, 1)
    z, y, x = ids.shape
    found: set[int] = set()
    for step in np.ndindex(3, 3, 3):
        near = padded[step[0] : step[0] + z, step[1] : step[1] + y, step[2] : step[2] + x]
        found |= set(np.unique(ids[(ids > 0) & (near > 0) & (near != ids)]).tolist())
    return len(np.unique(ids[ids > 0])), len(found)


@pytest.mark.parametrize("name", ["ves", "mito"])
def test_many_objects_touch_another_of_their_class(made: DemoResult, crops: list[Crop], name: str) -> None:
    """Pairs of crop and object id, over all crops that annotate the class."""
    counts = np.array([touching(labels(made, crop, name)) for crop in crops if name in crop.classes])
    objects, touch = counts.sum(axis=0)
    assert objects >= 20
    assert touch / objects >= 0.3
