"""Splits of real label arrays: what is used, what is left out and why, and what the CSV says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.datasplit import read_split
from cellmap_tui.challenge.exclusions import exclude
from cellmap_tui.challenge.layout import crop_em_path, crop_path, store_path
from cellmap_tui.errors import MissingDataError, RefusedError, RequestError, UnknownNameError
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.services.split import make_datasplit, plan_split
from cellmap_tui.services.split_model import SplitRequest
from cellmap_tui.services.split_sources import Candidate, Found
from cellmap_tui.services.split_units import do_overlap
from tests.services.split_data import make_dataset

if TYPE_CHECKING:
    from cellmap_tui.services.split_model import SplitPlan

SIX = {number: {"mito": 0.5, "er": 0.25} for number in range(1, 7)}


def _request(root: Path, **options: object) -> SplitRequest:
    values = {"csv_path": root / "split.csv", "data_root": root, "classes": ("mito", "er"), **options}
    return SplitRequest(**values)  # type: ignore[arg-type]


def _sides(plan: SplitPlan) -> dict[str, str | None]:
    return {crop.ref: crop.usage for crop in plan.crops}


def _reasons(plan: SplitPlan) -> dict[str, str | None]:
    return {crop.ref: crop.dropped for crop in plan.dropped}


def test_a_split_is_written_read_back_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX)
    result = make_datasplit(_request(tmp_path, validate_ratio=0.34), SilentReporter())
    split = read_split(result.csv_paths[0])
    assert (len(split.train), len(split.validate)) == (4, 2)
    assert result.digests == (split.digest,)
    row = split.rows[0]
    assert Path(row.em_address) == tmp_path / crop_em_path(Crop(1, "own", "train", None, ()))  # type: ignore[arg-type]
    assert (Path(row.label_address) / "mito" / "s0").is_dir()
    assert row.classes == ("mito", "er")
    again = make_datasplit(_request(tmp_path, validate_ratio=0.34), SilentReporter())
    assert again.digests == result.digests
    others = {
        make_datasplit(_request(tmp_path, validate_ratio=0.34, seed=seed), SilentReporter()).digests
        for seed in range(8)
    }
    assert len(others) > 1


def test_the_data_stay_as_they_are_but_for_what_is_remembered_beside_them(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX)

    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((tmp_path / "own").rglob("*")) if path.is_file()}

    before = tree()
    make_datasplit(_request(tmp_path), SilentReporter())
    assert tree() == before
    assert (tmp_path / ".cellmap-tui" / "content" / "own" / "crop1.json").is_file()


def test_the_matrix_counts_crops_that_show_a_class_apart_from_those_that_annotate_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"mito": 0.5}, 2: {"mito": 0.0}, 3: {"mito": 0.5, "er": 0.5}})
    plan = plan_split(_request(tmp_path))
    mito, er = plan.counts
    assert mito.train + mito.validate == 2
    assert mito.train_known + mito.validate_known == 3
    assert (mito.train_voxels or 0) + (mito.validate_voxels or 0) == 2 * 8 * 16 * 16
    assert mito.train == mito.validate == 1
    assert (er.train, er.validate) == (1, 0)
    assert plan.unvalidated == ("er",)
    assert any("er is not validated: one crop has it" in words for words in plan.warnings)


def test_crops_that_overlap_are_on_one_side_whatever_the_seed(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX, offset_nm={2: -8.0})
    sides = set()
    for seed in range(12):
        plan = plan_split(_request(tmp_path, seed=seed, validate_ratio=0.4))
        found = _sides(plan)
        assert found["own/crop1"] == found["own/crop2"]
        sides.add(found["own/crop1"])
        assert next(c for c in plan.crops if c.ref == "own/crop1").together == ("own/crop2",)
    assert sides == {"train", "validate"}
    with pytest.raises(RequestError, match="overlap"):
        plan_split(_request(tmp_path, train_crops=("1",), validate_crops=("own/crop2",)))


def test_each_reason_to_leave_a_crop_out_is_told(tmp_path: Path) -> None:
    made = make_dataset(
        tmp_path,
        "own",
        {
            1: {"mito": 0.5},
            2: {"mito": 0.5},
            3: {"mito": 0.5},
            4: {"pm": 0.5},
            5: {"mito": 0.5, "pm": 0.2},
            6: {"mito": 0.0, "pm": 0.5},
            7: {"mito": 0.0, "pm": 0.0},
            8: {"mito": 0.5},
        },
        voxel_nm={2: 16.0},
        missing=frozenset({(5, "mito")}),
    )
    exclude(tmp_path, made[2], "torn section")
    (tmp_path / crop_path(made[7]) / "mito" / "s0" / ".zarray").write_text("{")
    plan = plan_split(
        _request(tmp_path, classes=("mito",), crops="dataset:own", scale_nm=(8.0,) * 3, min_foreground=(("", 0.0),))
    )
    assert _sides(plan) == {"own/crop1": "train"}
    assert _reasons(plan) == {
        "own/crop2": "coarse",
        "own/crop3": "excluded",
        "own/crop4": "unknown",
        "own/crop5": "missing",
        "own/crop6": "empty",
        "own/crop7": "resin",
        "own/crop8": "broken",
    }
    words = {crop.ref: crop.reason for crop in plan.dropped}
    assert words["own/crop2"] == "labels are 16 nm, coarser than 8 nm"
    assert words["own/crop3"] == "set aside by hand: torn section"
    assert "fetch-data --crops own/crop5" in words["own/crop5"]
    assert words["own/crop6"] == "too little foreground: mito 0 %"


def test_empty_crops_are_kept_as_true_negatives_unless_foreground_is_asked_for(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"mito": 0.5}, 2: {"mito": 0.0}, 3: {"mito": 0.02 * 16}})
    plan = plan_split(_request(tmp_path, classes=("mito",)))
    assert len(plan.crops) == 3
    assert [crop.is_resin for crop in plan.crops] == [False, True, False]
    assert any("kept as true negatives" in words for words in plan.notes)
    some = plan_split(_request(tmp_path, classes=("mito",), min_foreground=(("mito", 0.4),)))
    assert _reasons(some) == {"own/crop2": "resin", "own/crop3": "empty"}


def test_a_group_is_known_from_its_members_and_only_then_complete(tmp_path: Path) -> None:
    make_dataset(
        tmp_path,
        "own",
        {
            1: {"mito": 0.5},
            2: {"mito_mem": 0.25, "mito_lum": 0.25, "mito_ribo": 0.0},
            3: {"mito_mem": 0.25},
            4: {"mito_mem": 0.0},
        },
    )
    plan = plan_split(_request(tmp_path, classes=("mito",)))
    rows = {crop.ref: crop.row.classes for crop in plan.crops if crop.row is not None}
    assert rows["own/crop2"] == ("mito_mem", "mito_lum", "mito_ribo")
    assert rows["own/crop3"] == ("mito_mem",)
    assert _reasons(plan) == {"own/crop4": "unknown"}
    forced = plan_split(_request(tmp_path, classes=("mito",), force_all_classes="all"))
    assert _reasons(forced)["own/crop3"] == "incomplete"


def test_crops_that_lack_a_class_are_bound_to_the_other_side(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {**SIX, 7: {"mito": 0.5}, 8: {"mito": 0.5}})
    for seed in range(4):
        validated = _sides(plan_split(_request(tmp_path, force_all_classes="validate", seed=seed)))
        assert validated["own/crop7"] == validated["own/crop8"] == "train"
        learned = _sides(plan_split(_request(tmp_path, force_all_classes="train", seed=seed)))
        assert learned["own/crop7"] == learned["own/crop8"] == "validate"
    assert set(_reasons(plan_split(_request(tmp_path, force_all_classes="all")))) == {"own/crop7", "own/crop8"}


def test_where_no_crop_can_be_used_the_reasons_and_the_classes_that_are_there_are_told(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"pm": 0.5}, 2: {"pm": 0.5, "ecs": 0.2}})
    with pytest.raises(RequestError) as caught:
        plan_split(_request(tmp_path, classes=("nuc", "er"), force=True))
    assert caught.value.message == "none of 2 crops can be used: 2 × none of the classes is annotated"
    assert caught.value.remedy == "they annotate ecs, pm"


def test_a_split_that_leaves_no_crop_to_learn_from_is_not_written_unless_forced(tmp_path: Path) -> None:
    make_dataset(tmp_path, "one", {1: {"mito": 0.5, "er": 0.25}, 2: {"mito": 0.5}})
    everything = {"validate_crops": ("1", "2"), "classes": ("mito",)}
    with pytest.raises(RequestError, match="all 2 crops would validate, none is left to learn from"):
        make_datasplit(_request(tmp_path, **everything), SilentReporter())
    assert not (tmp_path / "split.csv").exists()
    make_datasplit(_request(tmp_path, **everything, force=True), SilentReporter())
    assert len(read_split(tmp_path / "split.csv").validate) == 2


def test_targets_of_a_file_drive_the_split_and_ignored_classes_stay_in_the_rows(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"mito": 0.5, "er": 0.1, "pm": 0.1}, 2: {"er": 0.5}})
    targets = tmp_path / "targets.toml"
    targets.write_text('ignore = ["pm"]\n[targets]\nmembranes = ["mito", "er"]\n')
    plan = plan_split(_request(tmp_path, targets=targets))
    assert plan.targets == ("membranes",)
    rows = {crop.ref: crop.row.classes for crop in plan.crops if crop.row is not None}
    assert rows == {"own/crop1": ("mito", "er", "pm"), "own/crop2": ("er",)}
    (tmp_path / "bad.toml").write_text('[targets]\nx = ["mitoo"]\n')
    with pytest.raises(UnknownNameError, match="mitoo"):
        plan_split(_request(tmp_path, targets=tmp_path / "bad.toml"))


def test_a_class_that_nothing_can_be_learned_of_names_the_crops_and_each_reason(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", {1: {"mito": 0.5, "er": 0.0}, 2: {"mito": 0.5}})
    with pytest.raises(RequestError) as error:
        plan_split(_request(tmp_path, classes=("mito", "ribo")))
    assert "nothing to learn ribo from in 2 crops: 2 do not annotate it (own/crop1, own/crop2)" in error.value.message
    assert "--force" in error.value.remedy
    with pytest.raises(RequestError) as error:
        plan_split(_request(tmp_path))
    assert "1 annotates it and has no voxel of it (own/crop1)" in error.value.message
    assert "1 does not annotate it (own/crop2)" in error.value.message
    plan = plan_split(_request(tmp_path, classes=("mito", "ribo"), force=True))
    assert any("nothing can be learned of ribo" in words for words in plan.warnings)


def test_folds_hold_each_crop_once_and_are_files_of_their_own(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX)
    result = make_datasplit(_request(tmp_path, k_folds=3), SilentReporter())
    assert [path.name for path in result.csv_paths] == ["split_fold1.csv", "split_fold2.csv", "split_fold3.csv"]
    validating = [row.ref for path in result.csv_paths for row in read_split(path).validate]
    assert sorted(validating) == [f"own/crop{n}" for n in range(1, 7)]
    assert all(len(read_split(path).rows) == 6 for path in result.csv_paths)
    assert [fold.validate for fold in result.plan.folds] == [2, 2, 2]
    with pytest.raises(RequestError, match="7 folds need"):
        plan_split(_request(tmp_path, k_folds=7))


def test_datasets_stay_together_when_asked(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        make_dataset(tmp_path, name, {1: {"mito": 0.5}, 2: {"mito": 0.5}})
    plan = plan_split(_request(tmp_path, classes=("mito",), group_by="dataset"))
    by_dataset = {(crop.dataset, crop.usage) for crop in plan.crops}
    assert len(by_dataset) == 3
    assert plan.validate == 2
    some = plan_split(_request(tmp_path, classes=("mito",), datasets=("a", "c*")))
    assert {crop.dataset for crop in some.crops} == {"a", "c"}
    with pytest.raises(UnknownNameError, match="no dataset is called"):
        plan_split(_request(tmp_path, datasets=("d",)))


def test_em_that_is_not_fetched_as_finely_as_asked_says_which_fetch_helps(tmp_path: Path) -> None:
    made = make_dataset(tmp_path, "own", SIX, voxel_nm=dict.fromkeys(SIX, 4.0))
    em = tmp_path / crop_em_path(made[0])
    shutil.rmtree(em / "s0" / "0")
    shutil.rmtree(em / "s0" / "1")
    with pytest.raises(RequestError, match="no EM on disk that is fine enough"):
        plan_split(_request(tmp_path, scale_nm=(8.0,) * 3))
    make_dataset(tmp_path, "fine", {7: {"mito": 0.5, "er": 0.5}})
    words = {crop.ref: crop.reason for crop in plan_split(_request(tmp_path, scale_nm=(8.0,) * 3)).dropped}
    assert words["own/crop1"] == (
        "EM on disk is 16 nm, coarser than 8 nm: cellmap-tui fetch-data --crops own/crop1 --levels s0"
    )
    assert len(plan_split(_request(tmp_path, scale_nm=(16.0,) * 3)).crops) == 7
    shutil.rmtree(em)
    assert set(_reasons(plan_split(_request(tmp_path))).values()) == {"em"}


def test_templates_of_the_official_toolbox_find_the_same_crops_as_the_catalog(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX)
    by_catalog = make_datasplit(_request(tmp_path), SilentReporter())
    template = str(tmp_path / "{dataset}" / "{dataset}.zarr" / "recon-1" / "{name}")
    by_search = make_datasplit(_request(tmp_path, data_root=None, search_path=template), SilentReporter())
    assert by_search.digests == by_catalog.digests
    for bad, words in (("{dataset}/x", "lacks {name}"), ("{dataset}/{name}/{foo}", "{foo} is no field")):
        with pytest.raises(RequestError, match=words):
            plan_split(_request(tmp_path, search_path=bad))
    with pytest.raises(MissingDataError, match="nothing on disk matches"):
        plan_split(_request(tmp_path, search_path=str(tmp_path / "none" / "{dataset}" / "{name}")))


def test_a_file_that_is_no_datasplit_is_not_replaced(tmp_path: Path) -> None:
    make_dataset(tmp_path, "own", SIX)
    (tmp_path / "split.csv").write_text("my notes\n")
    with pytest.raises(RefusedError, match="is no datasplit"):
        make_datasplit(_request(tmp_path), SilentReporter())
    assert (tmp_path / "split.csv").read_text() == "my notes\n"
    (tmp_path / "split.csv").write_text("")
    assert make_datasplit(_request(tmp_path, dry_run=True), SilentReporter()).csv_paths == ()
    assert make_datasplit(_request(tmp_path), SilentReporter()).csv_paths


def test_without_any_labels_on_disk_the_fetch_that_helps_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as error:
        plan_split(_request(tmp_path))
    assert "fetch-data" in error.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        {"validate_ratio": 1.0},
        {"validate_ratio": float("nan")},
        {"k_folds": 1},
        {"k_folds": 2, "force_all_classes": "train"},
        {"min_foreground": (("", 2.0),)},
        {"scale_nm": (8.0, 0.0, 8.0)},
        {"use_s3": True, "search_path": "x"},
        {"classes": ()},
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        _request(tmp_path, **options)


def _as_candidate(crop: Crop) -> Candidate:
    store = str(store_path(crop.dataset))
    return Candidate(
        ref=crop.ref,
        dataset=crop.dataset,
        space=crop.dataset,
        grid=crop.grid,
        annotated=crop.classes,
        available=crop.classes,
        em_file=store,
        em_path="em",
        label_file=store,
        label_path=crop.name,
        class_grids=crop.class_grids,
    )


CATALOG = tuple(_as_candidate(crop) for crop in builtin_catalog().crops if crop.split == "train")
FULL = next(crop for crop in CATALOG if len(crop.annotated) == 48)
SCORED = tuple(info.name for info in builtin_catalog().classes.scored)


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.sampled_from(CATALOG), min_size=2, max_size=60),
    st.sets(st.sampled_from(SCORED), min_size=1, max_size=6),
    st.floats(0.05, 0.5),
    st.integers(0, 1000),
)
def test_the_published_crops_are_split_once_each_with_overlaps_together_and_classes_on_both_sides(
    tmp_path_factory: pytest.TempPathFactory, crops: set[Candidate], classes: set[str], ratio: float, seed: int
) -> None:
    found = Found(tuple(sorted({*crops, FULL}, key=lambda crop: crop.ref)))
    request = _request(
        Path("unused"),
        classes=tuple(sorted(classes)),
        use_s3=True,
        scan=False,
        validate_ratio=ratio,
        seed=seed,
        force=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellmap_tui.services.split_remote.find_remote", lambda *_: found)
        plan = plan_split(request)
    sides = _sides(plan)
    assert set(sides) | {crop.ref for crop in plan.dropped} == {crop.ref for crop in found.candidates}
    used = [crop for crop in found.candidates if crop.ref in sides]
    for first in used:
        for second in used:
            if first.space == second.space and do_overlap(first.grid, second.grid):
                assert sides[first.ref] == sides[second.ref]
    for position, row in enumerate(plan.counts):
        showing = [crop for crop in plan.crops if crop.targets[position].state == "annotated"]
        assert row.train + row.validate == len(showing)
        assert row.train or not showing
        apart = {frozenset({crop.ref, *crop.together}) for crop in showing}
        if len(apart) > 1 and not row.validate:
            assert any(row.name in words for words in plan.warnings)


def _bucket(tmp_path: Path) -> dict[str, object]:
    make_dataset(tmp_path / "s3" / "bucket", "own", SIX, missing=frozenset({(2, "er"), (3, "er"), (3, "mito")}))
    make_dataset(tmp_path / "s3" / "bucket", "own", {9: {"mito": 0.0, "er": 0.5}}, em=False)
    shutil.copytree(tmp_path / "s3" / "bucket" / ".cellmap-tui", tmp_path / ".cellmap-tui")
    return {"use_s3": True, "endpoint_url": f"file://{tmp_path / 's3'}", "bucket": "bucket", "crops": "dataset:own"}


def test_a_split_of_addresses_names_only_labels_that_the_bucket_has(tmp_path: Path) -> None:
    options = _bucket(tmp_path)
    result = make_datasplit(_request(tmp_path, **options), SilentReporter())
    split = read_split(result.csv_paths[0])
    rows = {row.ref: row for row in split.rows}
    assert rows["own/crop1"].label_address == "s3://bucket/own/own.zarr/recon-1/labels/groundtruth/crop1"
    assert rows["own/crop1"].em_address == "s3://bucket/own/own.zarr/recon-1/em/fibsem-uint8"
    assert rows["own/crop2"].classes == ("mito",)
    assert {crop.ref: crop.dropped for crop in result.plan.dropped} == {"own/crop3": "missing"}
    states = {crop.ref: crop.targets[0].state for crop in result.plan.crops}
    assert (states["own/crop1"], states["own/crop9"]) == ("annotated", "absent")
    assert split.train
    assert split.validate


def test_foreground_in_a_bucket_leaves_out_what_is_known_to_be_empty_and_says_what_is_not_known(
    tmp_path: Path,
) -> None:
    options = _bucket(tmp_path)
    plan = plan_split(_request(tmp_path, **options, classes=("mito",), min_foreground=(("", 0.01),)))
    assert _reasons(plan)["own/crop9"] == "empty"
    assert any("was not looked at everywhere" in words for words in plan.warnings)
    (tmp_path / "s3" / "none").mkdir()
    with pytest.raises(MissingDataError, match="has labels of none"):
        plan_split(_request(tmp_path, **{**options, "bucket": "none"}))
