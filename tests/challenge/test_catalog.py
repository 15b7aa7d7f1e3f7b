from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.catalog import Catalog, builtin_catalog, load_catalog, refreshed_table
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.crop_table import format_crop_table, parse_crop_table, table_origin
from cellmap_tui.challenge.exclusions import exclude
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.challenge.manifests import Manifests
from cellmap_tui.errors import RequestError, UnknownNameError
from tests.challenge.factories import attempt, make_crop, make_grid, put_labels

CATALOG = builtin_catalog()
CROPS_PER_DATASET = {
    "mus-liver-zon-1": 42, "hela-2": 26, "mus-liver": 24, "mus-kidney": 23, "jurkat-1": 20, "hela-3": 19,
    "mus-liver-zon-2": 19, "macrophage-2": 18, "sum159-4": 18, "ut21-1413-003": 18, "cos7-1a": 12, "sum159-1": 12,
    "cos7-1b": 11, "fly-mb-1a": 6, "fly-vnc-1": 6, "ctl-id8-1": 5, "zf-cardiac-1": 4, "mus-heart-1": 2,
    "mus-kidney-3": 1, "mus-kidney-glomerulus-2": 1, "mus-liver-3": 1, "mus-nacc-1": 1,
}  # fmt: skip


def crops_of(split):
    return [crop for crop in CATALOG.crops if crop.split == split]


def test_the_published_counts_are_all_there():
    assert len(crops_of("train")) == 289
    assert len(crops_of("test")) == 16
    assert sum(len(crop.classes) for crop in crops_of("train")) == 11_786
    assert sum(len(crop.classes) for crop in crops_of("test")) == 413
    assert len(CATALOG.annotations()) == 11_786 + 413


def test_training_crops_per_dataset_are_the_published_ones():
    counted = Counter(crop.dataset.removeprefix("jrc_") for crop in crops_of("train"))
    assert counted == CROPS_PER_DATASET


def test_224_crops_carry_all_48_classes_and_26_carry_one():
    sizes = Counter(len(crop.classes) for crop in crops_of("train"))
    assert (sizes[48], sizes[44], sizes[1]) == (224, 13, 26)
    assert len({crop.classes for crop in crops_of("train")}) == 31


def test_test_volumes_are_100_instance_and_313_semantic():
    scoring = Counter(CATALOG.classes.get(name).scoring for crop in crops_of("test") for name in crop.classes)
    assert scoring == {"instance": 100, "semantic": 313}
    assert {crop.dataset for crop in crops_of("test")} == {
        "jrc_ctl-id8-1", "jrc_fly-vnc-1", "jrc_mus-kidney", "jrc_mus-liver-zon-2", "jrc_mus-nacc-1",
        "jrc_zf-cardiac-1",
    }  # fmt: skip
    assert round(sum(crop.grid.voxels * len(crop.classes) for crop in crops_of("test")) / 1e9, 1) == 87.7


@pytest.mark.parametrize(
    ("ref", "class_name", "voxel_size", "translation", "shape"),
    [
        ("234", "echrom", (2.0, 2.0, 2.0), (2760.0, 5160.0, 10670.0), (400, 400, 400)),
        ("jrc_ctl-id8-1/116", "mito_ribo", (1.74, 2.0, 2.0), (20527.65, 7903.0, 35703.0), (400, 400, 400)),
        ("crop557", "perox_mem", (1.74, 2.0, 2.0), (23837.13, 7599.0, 35999.0), (600, 600, 600)),
        ("980", "nuc", (13.92, 16.0, 16.0), (16709.22, 3206.0, 36806.0), (800, 300, 300)),
    ],
)
def test_known_rows_are_exact(ref, class_name, voxel_size, translation, shape):
    crop = CATALOG.find(ref)
    assert class_name in crop.classes
    grid = crop.grid_of(class_name)
    assert (grid.voxel_size_nm, grid.translation_nm, grid.shape) == (voxel_size, translation, shape)


def test_counts_by_class_and_dataset_add_up_to_the_annotations():
    counts = CATALOG.counts()
    assert len(counts) == 48
    assert sum(sum(by_dataset.values()) for by_dataset in counts.values()) == 11_786
    assert sum(counts["nuc"].values()) == 273
    assert len(CATALOG.of_class("nuc", "train")) == 273


def test_voxel_sizes_of_a_class_are_counted_finest_first():
    sizes = CATALOG.voxel_sizes("nuc")
    assert sum(sizes.values()) == 273
    assert next(iter(sizes)) == (1.62, 2.0, 2.0)
    assert sizes[(64.0, 64.0, 64.0)] == 2


@pytest.mark.parametrize("ref", ["28", "crop28", "jrc_hela-2/28", "jrc_hela-2/crop28", "JRC_HELA-2/Crop28", " 28 "])
def test_a_crop_is_found_by_any_of_its_names(ref):
    assert CATALOG.find(ref).ref == "jrc_hela-2/crop28"


def test_an_unknown_crop_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="nearest is jrc_mus-kidney/crop989"):
        CATALOG.find("999")
    with pytest.raises(UnknownNameError, match="jrc_hela-2"):
        CATALOG.find("jrc_hela-22/28")


@pytest.mark.parametrize("ref", ["", "x", "28/", "/", "../28", "crop", "2²", "9" * 5000])
def test_what_is_no_crop_name_is_refused(ref):
    with pytest.raises(RequestError):
        CATALOG.find(ref)


def test_a_number_that_two_datasets_have_must_be_qualified():
    catalog = Catalog(builtin_classes(), [*CATALOG.crops, make_crop(28, "mine")])
    for ask in (catalog.find, catalog.select):
        with pytest.raises(RequestError, match=r"2 datasets; say jrc_hela-2/crop28 or mine/crop28"):
            ask("28")
    assert [crop.ref for crop in catalog.select("mine/28")] == ["mine/crop28"]
    assert [crop.ref for crop in catalog.select("28 dataset:mine")] == ["mine/crop28"]
    assert len(catalog.select("all")) == 290


def test_select_takes_all_test_ids_ranges_and_filters():
    assert len(CATALOG.select("all")) == 289
    assert len(CATALOG.select("test")) == 16
    assert len(CATALOG.select("all,test")) == 305
    assert [crop.id for crop in CATALOG.select("234, 236")] == [234, 236]
    assert {crop.id for crop in CATALOG.select("240-250")} <= set(range(240, 251))
    assert {crop.dataset for crop in CATALOG.select("mito dataset:cos7 voxel<=4")} == {"jrc_cos7-1a", "jrc_cos7-1b"}


@pytest.mark.parametrize("expression", ["", "  ", "999", "234,999", "250-240", "mtio", "mito -mito"])
def test_select_refuses_what_selects_nothing(expression):
    with pytest.raises(RequestError):
        CATALOG.select(expression)


@given(st.lists(st.sampled_from([crop.id for crop in CATALOG.crops]), min_size=1, max_size=6))
def test_select_of_ids_returns_exactly_those(ids):
    assert {crop.id for crop in CATALOG.select(",".join(map(str, ids)))} == set(ids)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=2).map(sorted))
def test_select_of_a_range_returns_what_lies_in_it_or_an_error(ends):
    first, last = ends
    expected = {crop.id for crop in CATALOG.crops if first <= crop.id <= last}
    try:
        selected = {crop.id for crop in CATALOG.select(f"{first}-{last}")}
    except RequestError:
        assert not expected
    else:
        assert selected == expected


def test_a_range_the_wrong_way_round_is_part_of_a_name_or_an_error():
    assert {crop.dataset for crop in CATALOG.select("3-0")} == {"jrc_ut21-1413-003"}
    with pytest.raises(RequestError, match="counts down; write 234-240"):
        CATALOG.select("240-234")


def test_the_built_in_table_reads_back_what_it_writes():
    text = format_crop_table(CATALOG.crops, origin="a test")
    assert parse_crop_table(text, name="table") == CATALOG.crops
    assert table_origin(text) == "a test"


def test_a_crop_with_classes_of_other_geometry_survives_the_table():
    crop = make_crop(
        3, classes=("mito_mem", "nuc", "mito"), class_grids=(("nuc", make_grid(32)),), source="challenge"
    )
    text = format_crop_table([crop, make_crop(4, source="challenge")])
    read = parse_crop_table(text, name="table")
    assert read[0] == crop
    assert read[0].grid_of("nuc").voxel_size_nm == (32, 32, 32)
    assert [a.grid.voxel_size_nm[0] for a in read[0].annotations()] == [8, 32, 8]


@given(st.integers(0, 40_000), st.binary(min_size=1, max_size=3))
def test_a_changed_table_is_refused(position, junk):
    content = bytearray(format_crop_table(CATALOG.crops).encode())
    position %= len(content)
    content[position : position + 1] = junk
    text = content.decode(errors="replace")
    crops, error = attempt(parse_crop_table, text, name="table")
    assert crops == CATALOG.crops or "--builtin" in error.remedy


def test_local_crops_join_the_catalog_and_replace_their_like(tmp_path):
    add_local_crops(tmp_path, [make_crop(1, "mine"), make_crop(28, "jrc_hela-2", ("mito",))])
    catalog = load_catalog(data_root=tmp_path)
    assert len(catalog.crops) == 306
    assert catalog.find("jrc_hela-2/28").source == "import"
    assert catalog.notes == ()


def test_a_damaged_local_catalog_is_noted_and_the_rest_goes_on(tmp_path):
    (tmp_path / ".cellmap-tui").mkdir()
    (tmp_path / ".cellmap-tui" / "crops.json").write_text("{")
    catalog = load_catalog(data_root=tmp_path)
    assert len(catalog.crops) == 305
    assert "crops.json" in catalog.notes[0]


def test_a_damaged_refreshed_table_falls_back_to_the_built_in_one(tmp_path):
    path = refreshed_table(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"\xff\x00")
    catalog = load_catalog(state_dir=tmp_path)
    assert len(catalog.crops) == 305
    assert "not used" in catalog.notes[0]
    path.write_text(format_crop_table(CATALOG.crops[:3]) + "x")
    assert len(load_catalog(state_dir=tmp_path).crops) == 305


def test_manifests_replace_the_published_crops_of_their_split(tmp_path):
    add_local_crops(tmp_path, [make_crop(1, "mine")])
    given_crops = Manifests(train=(make_crop(5, "other", source="manifest"),))
    catalog = load_catalog(data_root=tmp_path, manifests=given_crops)
    assert sorted({crop.source for crop in catalog.crops if crop.split == "train"}) == ["import", "manifest"]
    assert sum(crop.split == "test" for crop in catalog.crops) == 16


def test_a_data_root_that_is_a_file_or_missing_has_no_local_crops(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for root in (file, tmp_path / "missing"):
        assert len(load_catalog(data_root=root).crops) == 305


def test_local_and_excluded_are_looked_up_below_the_data_root(tmp_path):
    crop = make_crop(1, "mine")
    add_local_crops(tmp_path, [crop, make_crop(2, "mine")])
    put_labels(tmp_path, crop, "mito")
    exclude(tmp_path, crop, "empty resin")
    catalog = load_catalog(data_root=tmp_path)
    assert [found.ref for found in catalog.select("local")] == ["mine/crop1"]
    assert [found.ref for found in catalog.select("excluded")] == ["mine/crop1"]
    assert len(catalog.select("remote")) == 306
    assert [found.ref for found in catalog.select("source:import -excluded")] == ["mine/crop2"]


@given(st.text(max_size=40))
def test_select_and_find_answer_any_text_with_crops_or_a_clear_error(text):
    for ask in (CATALOG.select, CATALOG.find):
        _, error = attempt(ask, text)
        assert error is None or (isinstance(error, RequestError) and "\n" not in error.message)
