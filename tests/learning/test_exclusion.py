import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN
from cellmap_tui.learning.exclusion import Exclusion

TABLE = builtin_classes()
NAMES = [info.name for info in TABLE]
ATOMS = [info.id for info in TABLE if not info.is_group]


def states_of(names, atom):
    """Return the true states of classes in a voxel of an atomic class."""
    infos = [TABLE.get(name) for name in names]
    return [PRESENT if atom in (info.member_ids or (info.id,)) else ABSENT for info in infos]


def rows(*states):
    return np.array(states, np.uint8)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=20, unique=True), st.data())
def test_what_is_inferred_is_never_wrong(names, data):
    atom = data.draw(st.sampled_from(ATOMS))
    known = np.array(states_of(names, atom), np.uint8)
    hidden = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    row = np.where(hidden, UNKNOWN, known)[None].astype(np.uint8)
    exclusion = Exclusion(names, TABLE)
    assert not exclusion.contradictory(row).any()
    truth = states_of(NAMES, atom)
    for name, true in zip(NAMES, truth, strict=True):
        assert exclusion.infer(row, name)[0] in (true, UNKNOWN)


def test_what_is_one_class_is_not_another():
    assert Exclusion(["mito"], TABLE).infer(rows([PRESENT]), "er")[0] == ABSENT


def test_what_is_not_a_group_is_none_of_its_members():
    assert Exclusion(["er"], TABLE).infer(rows([ABSENT]), "er_mem")[0] == ABSENT


def test_a_member_proves_its_group():
    assert Exclusion(["mito_lum"], TABLE).infer(rows([PRESENT]), "cell")[0] == PRESENT


def test_a_group_does_not_tell_its_members_apart():
    assert Exclusion(["mito"], TABLE).infer(rows([PRESENT]), "mito_lum")[0] == UNKNOWN


def test_the_last_member_left_is_it():
    exclusion = Exclusion(["mito", "mito_mem", "mito_ribo"], TABLE)
    assert exclusion.infer(rows([PRESENT, ABSENT, ABSENT]), "mito_lum")[0] == PRESENT


@pytest.mark.parametrize(
    ("names", "states"),
    [(["mito", "er"], [PRESENT, PRESENT]), (["mito", "mito_mem"], [ABSENT, PRESENT])],
)
def test_contradictions_are_found_and_prove_nothing(names, states):
    exclusion = Exclusion(names, TABLE)
    assert exclusion.contradictory(rows(states)).all()
    assert exclusion.infer(rows(states), "nuc")[0] == UNKNOWN


def test_names_outside_the_table_say_nothing():
    exclusion = Exclusion(["my_label", None], TABLE)
    assert exclusion.infer(rows([PRESENT, PRESENT]), "er")[0] == UNKNOWN
    assert not exclusion.contradictory(rows([PRESENT, PRESENT])).any()
