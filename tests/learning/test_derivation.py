import numpy as np

from cellmap_tui.challenge.targets import parse_targets, targets_of
from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN
from cellmap_tui.learning.derivation import Derivation


def derived(annotated, targets, *rows, **options):
    derivation = Derivation(annotated, targets, **options)
    return derivation.targets_from(np.array(rows, np.uint8)).tolist()


def targets(text):
    return parse_targets(text, "test")


def test_a_class_is_its_own_array():
    assert derived(["er", "mito"], targets_of(["mito"]), [PRESENT, ABSENT]) == [[ABSENT]]


def test_a_group_is_the_union_of_its_members():
    members = ["mito_lum", "mito_mem", "mito_ribo"]
    found = derived(members, targets_of(["mito"]), [ABSENT] * 3, [ABSENT, PRESENT, ABSENT], [UNKNOWN, ABSENT, ABSENT])
    assert found == [[ABSENT], [PRESENT], [UNKNOWN]]


def test_outside_of_some_members_a_group_is_unknown():
    assert derived(["mito_mem"], targets_of(["mito"]), [ABSENT], [PRESENT]) == [[UNKNOWN], [PRESENT]]


def test_a_group_never_teaches_its_members():
    assert derived(["mito"], targets_of(["mito_mem"]), [PRESENT], [ABSENT]) == [[UNKNOWN], [UNKNOWN]]


def test_a_target_of_several_classes_is_absent_only_where_all_are():
    wanted = targets('[targets]\nlipid = ["ld", "ves"]')
    assert derived(["ld", "ves"], wanted, [ABSENT, ABSENT], [ABSENT, UNKNOWN], [ABSENT, PRESENT]) == [
        [ABSENT],
        [UNKNOWN],
        [PRESENT],
    ]


def test_ignored_classes_are_unknown_for_every_target():
    wanted = targets('ignore = ["mito_ribo"]\n[targets]\nmito = ["mito_mem"]\ner = ["er"]')
    annotated = ["er", "mito_mem", "mito_ribo"]
    assert derived(annotated, wanted, [ABSENT, PRESENT, ABSENT], [ABSENT, ABSENT, PRESENT]) == [
        [PRESENT, ABSENT],
        [UNKNOWN, UNKNOWN],
    ]


def test_mutual_exclusion_fills_what_is_not_annotated():
    wanted = targets_of(["mito", "er"])
    assert derived(["mito"], wanted, [PRESENT], evidence=["mito"]) == [[PRESENT, ABSENT]]
    assert derived(["mito"], wanted, [PRESENT]) == [[PRESENT, UNKNOWN]]


def test_a_contradiction_is_left_as_it_is():
    derivation = Derivation(["mito", "nuc"], targets_of(["mito", "nuc", "er"]), evidence=["mito", "nuc"])
    rows = np.array([[PRESENT, PRESENT], [PRESENT, ABSENT]], np.uint8)
    assert derivation.targets_from(rows).tolist() == [[1, 1, UNKNOWN], [1, 0, 0]]
    assert derivation.contradictory(rows).tolist() == [True, False]


def test_a_core_is_known_where_its_target_is():
    wanted = targets('[targets]\nmito = { classes = ["mito"], core = true }')
    derivation = Derivation(["mito"], wanted, cores=["mito"])
    assert derivation.columns == ("mito", "mito/core")
    rows = np.array([[PRESENT], [PRESENT], [ABSENT], [UNKNOWN], [PRESENT]], np.uint8)
    cores = np.array([[1], [0], [1], [1], [UNKNOWN]], np.uint8)
    found = derivation.with_cores(rows, cores)
    assert found.tolist() == [[1, 1], [1, 0], [0, 0], [255, 255], [1, 255]]


def test_a_name_outside_the_table_stands_for_itself():
    wanted = targets_of(["my_label"], labels=["my_label"])
    assert derived(["my_label"], wanted, [PRESENT], labels=["my_label"]) == [[PRESENT]]
