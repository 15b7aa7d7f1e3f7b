from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.target_ids import IdMeaning, id_states, overlap
from cellmap_tui.challenge.targets import class_source

TABLE = builtin_classes()
ATOMS = [info for info in TABLE if not info.is_group]
SCORED = [info.name for info in TABLE.scored]
MEANING = IdMeaning(TABLE)


def finest_id(atom, annotated):
    """The id that the array of all ids holds where a voxel is of an atomic class."""
    if atom.name in annotated:
        return atom.id
    return next((group.id for group in TABLE.parents(atom.id) if group.name in annotated), 0)


def by_arrays(name, atom, annotated):
    source = class_source(name, annotated)
    if any(atom.id in MEANING.parts(part) for part in source.arrays):
        return "present"
    return "absent" if source.complete else "unknown"


@given(st.sets(st.sampled_from(SCORED)), st.sampled_from(ATOMS), st.sampled_from(list(TABLE)))
def test_ids_never_contradict_the_arrays_of_the_classes(annotated, atom, info):
    said = id_states(info.name, annotated, MEANING)[finest_id(atom, annotated)]
    assert said in (by_arrays(info.name, atom, annotated), "unknown")


@given(st.sampled_from(ATOMS), st.sampled_from(list(TABLE)))
def test_with_every_atomic_class_annotated_ids_leave_nothing_unknown(atom, info):
    annotated = {one.name for one in ATOMS} | {info.name}
    said = id_states(info.name, annotated, MEANING)[finest_id(atom, annotated)]
    assert said == by_arrays(info.name, atom, annotated)
    assert said != "unknown"


def test_a_membrane_of_a_cell_is_of_the_cell():
    states = id_states("cell", ["cell"], MEANING)
    assert states[2] == "present"
    assert states[60] == "present"
    assert states[1] == states[0] == "absent"


def test_a_volume_of_ones_own_is_complete_in_its_ids():
    states = id_states("er_mem", None, MEANING)
    assert (states[0], states[16], states[17], states[51]) == ("absent", "present", "absent", "unknown")


def test_names_of_ones_own_replace_the_table():
    own = IdMeaning(labels={"axon": 16, "glia": 5})
    assert id_states("axon", None, own) == {0: "absent", 5: "absent", 16: "present"}
    assert own.name_of(16) == "axon"
    assert own.name_of(17) is None
    assert not own.knows("er_mem")


def test_classes_that_share_ids_are_found():
    assert overlap(["pm", "mito"], ["mito_lum"], MEANING) == ("mito", "mito_lum")
    assert overlap(["pm"], ["mito"], MEANING) is None
