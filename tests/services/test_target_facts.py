from __future__ import annotations

from cellmap_tui.challenge.catalog import builtin_catalog
from cellmap_tui.challenge.content import LabelContent
from cellmap_tui.challenge.targets import parse_targets, targets_of
from cellmap_tui.services.target_facts import target_checks, target_facts

CATALOG = builtin_catalog()


def words(text):
    targets = parse_targets(text, "t")
    return [check.words for check in target_checks(targets, target_facts(targets, CATALOG), CATALOG.classes)]


def test_crops_are_counted_as_the_catalog_has_them():
    (mito,) = target_facts(targets_of(["mito"]), CATALOG)
    training = [crop for crop in CATALOG.crops if crop.split == "train" and "mito" in crop.classes]
    assert mito.full == len(training)
    assert sum(mito.by_dataset.values()) == mito.crops
    assert mito.by_dataset["jrc_hela-2"] == len([crop for crop in training if crop.dataset == "jrc_hela-2"])


def test_a_crop_that_knows_one_of_two_classes_knows_the_target_partly():
    (row,) = target_facts(parse_targets('[targets]\nx = ["mito", "ribo"]', "t"), CATALOG)
    assert row.full == 0
    assert row.partial > 0


def test_what_scans_found_is_summed():
    crop = next(crop for crop in CATALOG.crops if crop.split == "train" and "mito" in crop.classes)
    content = LabelContent("binary", (8.0, 8.0, 8.0), (10, 10, 10), foreground_voxels=30, unknown_voxels=100)
    (row,) = target_facts(targets_of(["mito"]), CATALOG, {(crop.ref, "mito"): content})
    assert (row.scanned, row.with_foreground, row.foreground_voxels, row.known_voxels) == (1, 1, 30, 900)


def test_checks_name_what_is_wrong():
    assert words('[targets]\nmito = ["mito"]') == [
        "every target is known in at least 20 crops",
        "no class is in two targets",
    ]
    assert "no training crop annotates ribo" in words('[targets]\nribo = ["ribo"]')
    assert any("share voxels" in line for line in words('[targets]\na = ["er"]\nb = ["er_mem"]'))
    assert any("is ignored" in line for line in words('ignore = ["mito_mem"]\n[targets]\na = ["mito"]'))
