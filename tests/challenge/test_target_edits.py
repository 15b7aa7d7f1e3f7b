from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge import target_edits as edits
from cellmap_tui.challenge.targets import targets_of
from cellmap_tui.errors import RequestError

CLASSES = ["mito", "er", "nuc", "ves", "ecs"]


def test_a_new_target_takes_its_classes_from_the_others():
    targets = edits.added(targets_of(["mito", "er"]), "both", ("er", "nuc"))
    assert targets.get("both").classes == ("er", "nuc")
    assert targets.get("er").classes == ()
    assert edits.owner(targets, "er") == "both"


def test_a_class_is_moved_ignored_and_taken_out():
    targets = edits.moved(targets_of(["mito", "er"]), "er", "mito")
    assert targets.get("mito").classes == ("mito", "er")
    ignored = edits.moved(targets, "er", "ignore")
    assert edits.owner(ignored, "er") == "ignore"
    assert edits.owner(edits.removed_class(ignored, "er"), "er") is None


def test_names_are_kept_apart():
    targets = targets_of(["mito", "er"])
    assert edits.renamed(targets, "er", "reticulum").names == ("mito", "reticulum")
    for name in ("mito", "all", "../x"):
        with pytest.raises(RequestError):
            edits.renamed(targets, "er", name)


def test_cores_belong_to_instances():
    targets = targets_of(["mito", "er"])
    assert edits.with_core_turned(targets, "mito").get("mito").core
    with pytest.raises(RequestError, match="no objects"):
        edits.with_core_turned(targets, "er")
    cored = edits.with_core_turned(edits.with_other_kind(targets, "er"), "er")
    assert edits.with_other_kind(cored, "er").get("er").core is False


def test_a_target_without_a_class_is_not_kept():
    with pytest.raises(RequestError, match="has no classes"):
        edits.checked(edits.added(targets_of(["mito"]), "empty"))
    with pytest.raises(RequestError, match="no targets"):
        edits.checked(edits.NOTHING)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(["a", "b", "ignore", ""])), max_size=20))
def test_after_any_changes_a_class_is_in_one_place_at_most(changes):
    targets = edits.added(edits.added(edits.NOTHING, "a"), "b")
    for name, place in changes:
        targets = edits.moved(targets, name, place) if place else edits.removed_class(targets, name)
        places = [name in target.classes for target in targets.targets] + [name in targets.ignored]
        assert sum(places) == (1 if place else 0)
        assert edits.owner(targets, name) == (place or None)
