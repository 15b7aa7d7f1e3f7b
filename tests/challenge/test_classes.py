from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.classes import builtin_classes, collapse_ids, expand_ids
from cellmap_tui.errors import UnknownNameError

TABLE = builtin_classes()
INSTANCE = ["nuc", "ves", "endo", "lyso", "ld", "perox", "mito", "np", "mt", "cell"]


def test_there_are_77_classes_with_ids_1_to_77():
    assert [info.id for info in TABLE] == list(range(1, 78))
    assert len(TABLE) == 77


def test_48_classes_are_scored_and_ten_of_them_as_instances():
    assert len(TABLE.scored) == 48
    assert sorted(info.name for info in TABLE if info.scoring == "instance") == sorted(INSTANCE)


def test_every_class_is_scored_or_says_why_not():
    for info in TABLE:
        assert (info.scoring is None) == bool(info.not_scored_reason)
        assert info.not_scored_reason is None or info.not_scored_reason.startswith("outside the challenge")


@pytest.mark.parametrize("class_id", [56, 57, 58, 59])
def test_insulin_granules_are_outside_the_challenge(class_id):
    info = TABLE.by_id(class_id)
    assert info is not None
    assert info.name.startswith("isg")
    assert "insulin secretory granule" in (info.not_scored_reason or "")


def test_ribo_says_that_there_is_no_foreground():
    assert "no ribosome foreground" in (TABLE.get("ribo").not_scored_reason or "")


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("chloroplast_mem", "chlor_mem"),
        ("vacuole", "vac"),
        ("plasmodesmata", "pd"),
        ("Mitochondria", "mito"),
        ("50", "mito"),
    ],
)
def test_a_class_is_found_by_alias_long_name_and_id(alias, name):
    assert TABLE.get(alias).name == name


def test_groups_hold_the_published_members():
    assert [info.id for info in TABLE.members("nuc")] == list(range(20, 30))
    assert [info.name for info in TABLE.members("mito")] == ["mito_mem", "mito_lum", "mito_ribo"]
    assert TABLE.members("ecs") == ()
    assert len(TABLE.get("cell").member_ids) == 44


def test_parents_of_an_id_come_smallest_first():
    assert [info.name for info in TABLE.parents(22)] == ["np", "ne_mem_all", "ne", "er", "nuc", "cell"]
    assert [info.name for info in TABLE.parents(2)] == ["cell"]


def test_parents_of_a_group_are_the_groups_that_hold_all_its_members():
    assert [info.name for info in TABLE.parents(53)] == ["ne_mem_all", "ne", "er", "nuc", "cell"]


def test_containing_starts_with_the_class_itself():
    assert [info.name for info in TABLE.containing(3)] == ["mito_mem", "mito", "cell"]
    assert TABLE.containing(999) == ()


@pytest.mark.parametrize(("name", "near"), [("mtio", "mito"), ("nucc", "nuc"), ("golgi_men", "golgi_mem")])
def test_an_unknown_name_offers_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=near):
        TABLE.get(name)


@pytest.mark.parametrize("name", ["0", "78", "99999999999999999999", "", "²", "٣"])
def test_an_unknown_id_is_an_unknown_name(name):
    with pytest.raises(UnknownNameError):
        TABLE.get(name)


@given(st.sets(st.integers(1, 200)))
def test_ids_survive_their_short_form(ids):
    assert expand_ids(collapse_ids(sorted(ids))) == tuple(sorted(ids))
