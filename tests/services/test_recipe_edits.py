"""Changes of a recipe, what is wrong with it in between, and how it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.services import recipe_edits as edits
from cellmap_tui.services.process_recipe import Recipe, built_in, parse_recipe, recipe_text
from cellmap_tui.services.process_steps import STEPS, RecipeError, Step

NAMES = [name for name in STEPS if name != "exclude"]


def test_steps_that_do_not_fit_are_named_with_their_place() -> None:
    own = edits.moved(built_in("instance"), 1, -1)
    at, problem = edits.problem_of(Recipe({"mito": own}), "mito")
    assert at == 0
    assert "classes.mito: step 1, cores, needs a mask" in problem


def test_an_empty_list_of_steps_is_wrong_and_a_new_step_mends_it() -> None:
    own = edits.without_step(built_in("semantic"), 0)
    assert "has no steps" in edits.problem_of(Recipe({"er": own}), "er")[1]
    own = edits.with_step(own, 0, edits.new_step("threshold"))
    assert edits.problem_of(Recipe({"er": own}), "er") == (None, "")


def test_steps_that_can_be_done_at_a_place_are_offered_first() -> None:
    own = built_in("instance")
    assert edits.fitting(own, 0)[:3] == ["sigmoid", "smooth", "threshold"]
    assert "components" in edits.fitting(own, 1)[:6]
    assert edits.fitting(own, 2)[:2] == ["remove_small", "exclude"]


@pytest.mark.parametrize("name", NAMES)
def test_every_new_step_has_what_it_needs(name: str) -> None:
    assert edits.new_step(name).name == name


def test_values_go_up_and_down_within_their_limits() -> None:
    threshold = Step("threshold", {"above": 0.98})
    assert edits.nudged(threshold, "above", 1) == 1.0
    assert edits.nudged(Step("remove_small", {"min_voxels": 100}), "min_voxels", -1) == 50
    assert edits.nudged(Step("remove_small", {"min_voxels": 1}), "max_voxels", 1) == 1
    assert edits.nudged(Step("cores"), "missing", 1) == "components"
    assert edits.nudged(Step("components"), "connectivity", 1) == 6


@given(st.sampled_from(NAMES), st.data(), st.lists(st.sampled_from([1, -1]), max_size=40))
def test_any_notches_leave_a_value_that_a_recipe_may_hold(name: str, data: st.DataObject, notches: list) -> None:
    step = edits.new_step(name)
    if not STEPS[name].options:
        return
    option = data.draw(st.sampled_from(sorted(STEPS[name].options)))
    for direction in notches:
        value = edits.nudged(step, option, direction)
        if value is not None:
            step = edits.with_option(step, option, value)
    assert recipe_text(Recipe({"a": edits.with_step(built_in("semantic"), 0, step)}))


def test_what_is_typed_is_read_and_refused_with_what_is_meant() -> None:
    option = STEPS["remove_small"].options["min_voxels"]
    assert edits.read_option(option, " 1 000 ") == 1000
    assert edits.read_option(option, "") is None
    with pytest.raises(RecipeError, match="not a whole number"):
        edits.read_option(option, "many")
    with pytest.raises(RecipeError, match="a number from 0 to 1"):
        edits.with_option(Step("threshold"), "above", 2.0)


def test_an_option_that_a_step_needs_cannot_be_taken_back() -> None:
    with pytest.raises(RecipeError, match="needs sigma_nm"):
        edits.with_option(edits.new_step("smooth"), "sigma_nm", None)


def test_the_steps_of_other_classes_are_changed_and_taken_back() -> None:
    own = edits.with_step(built_in("semantic"), 0, edits.new_step("smooth"))
    recipe = edits.with_class(Recipe(), "other semantic classes", own)
    assert parse_recipe(recipe_text(recipe)).semantic == own
    assert edits.with_class(recipe, "other semantic classes", None) == Recipe()


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
def test_a_draft_in_any_order_is_read_again_as_it_was(names: list) -> None:
    own = built_in("semantic")
    for name in names:
        own = edits.with_step(own, 0, edits.new_step(name))
    recipe = Recipe({"a class": own}, semantic=own)
    assert recipe_text(edits.read_lenient(recipe_text(recipe))) == recipe_text(recipe)


@pytest.mark.parametrize(
    "text", ["x = [", "classes = 3", "[classes]\na = 4", "[classes.a]\nsteps = [7]", "default = 1"]
)
def test_no_text_stops_a_draft_from_being_read(text: str) -> None:
    assert isinstance(edits.read_lenient(text), Recipe)
