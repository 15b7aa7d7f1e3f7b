from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cellmap_tui.challenge.catalog import Catalog, builtin_catalog, load_catalog
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.exclusions import exclude
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import RequestError, UnknownNameError
from cellmap_tui.services.browse import (
    BrowseRequest,
    class_dataset_counts,
    class_rows,
    class_voxel_sizes,
    crop_detail,
    dataset_summary,
    list_annotations,
    list_classes,
    list_crops,
    resolve,
)
from cellmap_tui.services.catalog import CatalogSource
from cellmap_tui.services.class_facts import nominal_nm
from cellmap_tui.services.models import to_builtins, to_json
from tests.challenge.factories import make_crop, make_grid, put_labels

CATALOG = builtin_catalog()


@pytest.fixture
def data_root(tmp_path):
    here, there = make_crop(1, "mine"), make_crop(2, "mine", ("er",))
    add_local_crops(tmp_path, [here, there])
    put_labels(tmp_path, here, "mito")
    exclude(tmp_path, there, "torn")
    return tmp_path


def test_a_crop_row_has_the_fields_of_the_headless_contract():
    result = list_crops(BrowseRequest("234"))
    (row,) = to_builtins(result.rows)
    assert {"crop", "dataset", "split", "classes", "voxel_size_nm", "shape", "local"} <= set(row)
    assert row["crop"] == 234
    assert row["dataset"] == "jrc_cos7-1a"
    assert row["split"] == "train"
    assert "mito" in row["classes"]
    assert row["voxel_size_nm"] == [2, 2, 2] or row["voxel_size_nm"] == (2, 2, 2)
    assert row["local"] is False
    assert row["excluded"] is None
    assert result.total == 305


def test_the_filter_narrows_and_its_errors_come_through():
    rows = list_crops(BrowseRequest("mito dataset:hela voxel<=4")).rows
    assert rows
    assert all("hela" in row.dataset for row in rows)
    with pytest.raises(RequestError, match="did you mean 'mito'"):
        list_crops(BrowseRequest("mtio"))


def test_all_annotations_are_the_published_11786():
    assert len(list_annotations(BrowseRequest()).rows) == 11_786
    assert len(list_annotations(BrowseRequest("test")).rows) == 413
    rows = list_annotations(BrowseRequest("class=mito 234")).rows
    assert [row.fields()["class"] for row in rows] == ["mito"]


def test_rows_say_what_is_on_disk_and_what_is_set_aside(data_root):
    result = list_crops(BrowseRequest("mine", CatalogSource(data_root)))
    here, there = result.rows
    assert (here.local, here.local_share, here.excluded) == (True, 0.3333, None)
    assert (there.local, there.local_share, there.excluded) == (False, 0, "torn")
    assert here.source == "import"
    assert [row.ref for row in list_crops(BrowseRequest("local", CatalogSource(data_root))).rows] == ["mine/crop1"]
    assert [row.ref for row in list_crops(BrowseRequest("excluded", CatalogSource(data_root))).rows] == ["mine/crop2"]
    assert len(list_annotations(BrowseRequest("local", CatalogSource(data_root))).rows) == 2


def test_damaged_exclusions_are_a_note_and_the_list_goes_on(data_root):
    (data_root / ".cellmap-tui" / "excluded.json").write_text("{")
    result = list_crops(BrowseRequest("mine", CatalogSource(data_root)))
    assert len(result.rows) == 2
    assert "excluded.json" in result.notes[0]


def test_nothing_but_the_root_is_asked_where_there_are_no_data(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr("cellmap_tui.services.presence.local_share", refuse)
    for root in (tmp_path / "missing", tmp_path):
        assert not any(row.local for row in list_crops(BrowseRequest("", CatalogSource(root))).rows)


def test_a_data_root_that_is_a_file_holds_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert len(list_crops(BrowseRequest("", CatalogSource(file))).rows) == 305


def test_a_class_row_tells_its_place_its_scoring_and_its_crops():
    rows = {row.name: row for row in list_classes()}
    assert len(rows) == 77
    mito = rows["mito"]
    assert (mito.id, mito.kind, mito.scoring, mito.training_crops) == (50, "group", "instance", 253)
    assert mito.members == ("mito_mem", "mito_lum", "mito_ribo")
    assert sum(part.crops for part in mito.voxel_sizes_nm) == 253
    assert mito.suggested_scale_nm == 4
    assert rows["nuc"].suggested_scale_nm == 16
    assert rows["ribo"].suggested_scale_nm is None
    assert rows["ribo"].training_crops == 0
    assert sum(row.training_crops for row in rows.values()) == 11_786
    assert sum(row.test_volumes for row in rows.values()) == 413


def test_the_suggested_scale_serves_nine_in_ten_crops_and_no_finer_one_does():
    for row in class_rows(CATALOG):
        if row.suggested_scale_nm is None:
            continue
        reached = [part.crops for part in row.voxel_sizes_nm if part.nominal_nm <= row.suggested_scale_nm]
        assert sum(reached) >= 0.9 * row.training_crops
        assert sum(reached[:-1]) < 0.9 * row.training_crops


def test_the_suggestion_says_why_in_one_sentence():
    sizes = class_voxel_sizes(CATALOG, "nuc")
    assert [(part.nominal_nm, part.crops) for part in sizes.bins] == [
        (2, 133), (4, 101), (8, 9), (16, 5), (32, 23), (64, 2)
    ]  # fmt: skip
    assert sizes.why.startswith("at 16 nm, 248 of 273 crops with nuc (at least nine in ten) need no upsampling")
    assert "no training crop has ribo annotated" in class_voxel_sizes(CATALOG, "ribo").why
    assert class_voxel_sizes(CATALOG, "37").class_name == "nuc"


@pytest.mark.parametrize(
    ("voxel_size", "nominal"),
    [((1.62, 2, 2), 2), ((2.62, 2, 2), 2), ((13.92, 16, 16), 16), ((0.1, 0.1, 0.1), 1), ((50, 4, 4), 8)],
)
def test_a_nominal_size_is_the_nearest_power_of_two(voxel_size, nominal):
    assert nominal_nm(voxel_size) == nominal


def test_an_id_is_resolved_with_its_parents_and_the_reason_why_it_is_not_scored():
    pm = resolve(CATALOG, "2")
    assert (pm.name, pm.parents, pm.scoring, pm.training_crops) == ("pm", ("cell",), "semantic", 239)
    insulin = resolve(CATALOG, 57)
    assert (insulin.name, insulin.parents) == ("isg_lum", ("isg", "cell"))
    assert "outside the challenge" in (insulin.not_scored_reason or "")
    assert resolve(CATALOG, "chloroplast_mem").id == 67
    assert resolve(CATALOG, 0).name == "background"
    with pytest.raises(UnknownNameError, match="from 1 to 77"):
        resolve(CATALOG, 99)


def test_class_by_dataset_counts_add_up():
    counts = class_dataset_counts(CATALOG)
    assert (len(counts.classes), len(counts.datasets)) == (48, 22)
    assert sum(map(sum, counts.counts)) == 11_786
    assert counts.counts[counts.classes.index("nuc")][counts.datasets.index("jrc_mus-liver-zon-1")] > 0


def test_a_dataset_summary_has_boxes_around_its_crops():
    summary = dataset_summary(CATALOG, "jrc_cos7-1a")
    assert (summary.training_crops, summary.test_crops, len(summary.crops)) == (12, 0, 12)
    box = next(crop for crop in summary.crops if crop.ref == "jrc_cos7-1a/crop234")
    assert box.lower_nm == (2759, 5159, 10669)
    assert box.extent_nm == (800, 800, 800)
    assert all(low <= corner for low, corner in zip(summary.lower_nm, box.lower_nm, strict=True))
    with pytest.raises(UnknownNameError, match="jrc_cos7-1a"):
        dataset_summary(CATALOG, "jrc_cos7-1aa")


def test_a_crop_detail_lists_classes_places_and_what_is_local(data_root):
    detail = crop_detail(load_catalog(data_root=data_root), "mine/1")
    assert [(info.name, info.local) for info in detail.classes] == [("mito", True), ("nuc", False)]
    assert detail.s3_address == ""
    assert detail.local_path == str(data_root / "mine/mine.zarr/recon-1/labels/groundtruth/crop1")
    published = crop_detail(CATALOG, "234", bucket="b")
    assert published.s3_address == "s3://b/jrc_cos7-1a/jrc_cos7-1a.zarr/recon-1/labels/groundtruth/crop234"
    assert published.local_path == ""


def test_classes_that_the_table_does_not_know_are_shown_without_an_id():
    grid = make_grid(32)
    catalog = Catalog(builtin_classes(), [make_crop(1, "mine", ("mito", "myelin"), class_grids=(("myelin", grid),))])
    known, unknown = crop_detail(catalog, "1").classes
    assert (known.id, unknown.id) == (50, None)
    assert unknown.voxel_size_nm == (32, 32, 32)
    assert class_voxel_sizes(catalog, "myelin").suggested_nm == 32


def test_everything_has_a_json_form():
    for value in (
        list_crops(BrowseRequest("hela")).rows,
        list_annotations(BrowseRequest("hela")).rows,
        list_classes(),
        resolve(CATALOG, 2),
        class_voxel_sizes(CATALOG, "mito"),
        class_dataset_counts(CATALOG),
        dataset_summary(CATALOG, "jrc_hela-2"),
        crop_detail(CATALOG, "28"),
    ):
        assert json.loads(to_json(value))


def test_browsing_loads_no_heavy_module():
    code = (
        "import sys; from cellmap_tui.services.browse import *; list_crops(BrowseRequest('mito')); list_classes();"
        "heavy = {'numpy', 'zarr', 'torch', 'pandas', 'skimage', 'boto3', 'textual', 'rich', 'msgspec',"
        "'urllib.request'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
