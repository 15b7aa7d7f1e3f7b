from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.targets import class_source, format_targets, parse_targets, read_targets, targets_of
from cellmap_tui.errors import MissingDataError, RequestError, UnknownNameError

SCORED = [info.name for info in builtin_classes().scored]


def test_a_list_of_classes_is_a_target():
    targets = parse_targets('[targets]\nmito = ["mito_mem", "mito_lum"]\ner = "er"\n', "t.toml")
    assert targets.names == ("mito", "er")
    assert targets.get("mito").classes == ("mito_mem", "mito_lum")
    assert [target.id for target in targets.targets] == [1, 2]


def test_the_kind_is_that_of_the_class_with_the_name_then_of_the_only_class():
    targets = parse_targets('[targets]\nmito = ["mito_mem"]\nnucleus = ["nuc"]\nmine = ["er_mem", "er_lum"]', "t")
    assert [target.kind for target in targets.targets] == ["instance", "instance", "semantic"]


def test_a_table_gives_kind_core_and_id():
    target = parse_targets('[targets]\nx = { classes = ["ves"], kind = "instance", core = true, id = 9 }', "t").get(
        "x"
    )
    assert (target.kind, target.core, target.id) == ("instance", True, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[targets]\na = ["mito"]\nb = ["mito"]', "in 'a' and in 'b'"),
        ('ignore = ["nuc"]\n[targets]\nb = ["nuc"]', "in 'ignore' and in 'b'"),
        ('[targets]\na = ["mitt"]', "no class is called 'mitt'; did you mean 'mito'"),
        ("[targets]\na = []", "target 'a' has no classes"),
        ("", "no targets"),
        ('[targets]\na = ["nuc", "nuc"]', "twice"),
        ('[targts]\na = ["nuc"]', "did you mean 'targets'"),
        ('[targets]\na = { clases = ["nuc"] }', "did you mean 'classes'"),
        ('[targets]\na = { classes = ["nuc"], kind = "objects" }', "kind 'objects'"),
        ('[targets]\na = { classes = ["er"], core = true }', "core = True"),
        ('[targets]\na = { classes = ["er"], id = 0 }', "id 0"),
        ('[targets]\na = { classes = ["er"], id = 2 }\nb = ["nuc"]', "two targets"),
        ('[targets]\n"../up" = ["er"]', "cannot be a folder name"),
        ('[targets]\nall = ["er"]', "cannot be called 'all'"),
        ("[targets]\na = 7", "is not a list of class names"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(text, words):
    with pytest.raises(RequestError) as caught:
        parse_targets(text, "mine.toml")
    assert words in str(caught.value)


def test_what_is_not_toml_is_named(tmp_path):
    with pytest.raises(RequestError, match=r"t\.toml is not TOML"):
        parse_targets("[targets", "t.toml")
    with pytest.raises(MissingDataError, match="cannot be read"):
        read_targets(tmp_path / "none.toml")


def test_names_of_imported_labels_are_classes_of_their_own():
    targets = parse_targets('[targets]\nmem = ["membrane_x"]', "t", labels={"membrane_x"})
    assert targets.get("mem").classes == ("membrane_x",)
    with pytest.raises(UnknownNameError):
        parse_targets('[targets]\nmem = ["membrane_x"]', "t")


@given(st.lists(st.sampled_from(SCORED), unique=True, min_size=1), st.booleans())
def test_a_written_file_reads_back(names, ignore_last):
    targets = targets_of(names)
    assert parse_targets(format_targets(targets), "t") == targets


def test_an_annotated_class_is_its_own_array():
    source = class_source("mito", {"mito", "mito_mem"})
    assert (source.arrays, source.complete) == (("mito",), True)


def test_a_group_is_the_union_of_its_annotated_members():
    assert class_source("mito", {"mito_mem", "mito_lum", "mito_ribo", "er"}).complete
    part = class_source("mito", {"mito_mem"})
    assert (part.arrays, part.complete) == (("mito_mem",), False)


def test_groups_inside_a_group_help_to_complete_it():
    source = class_source("er", {"er_mem", "er_lum", "eres", "ne"})
    assert source.complete
    assert set(source.arrays) == {"er_mem", "er_lum", "eres", "ne"}


def test_a_group_never_teaches_its_members():
    source = class_source("mito_mem", {"mito"})
    assert (source.arrays, source.complete) == ((), False)


def test_an_unknown_class_names_the_nearest():
    with pytest.raises(UnknownNameError, match="mito"):
        class_source("mitoo", {"er"})
