"""A recipe is written into its file: what is said the same stays letter by letter."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cellmap_tui.services.process_recipe import Recipe, parse_recipe, recipe_text
from cellmap_tui.services.recipe_edits import (
    moved,
    new_step,
    problem_of,
    with_class,
    with_option,
    with_other,
    with_step,
    without_step,
)
from cellmap_tui.services.recipe_write import text_with

TEXT = """# by hand
[classes.mito]  # large ones
# as in the paper
steps = [
    { step = "smooth", sigma_nm = 8 },  # less noise
    # half is too much
    { step = "threshold", above = 0.45 },
    "fill_holes",
    { step = "cores" },  # they touch
    { step = "remove_small", min_voxels = 200 },
]

# er is thin
[classes.er]
predictions = "runs/a"  # the better run
steps = ["threshold", { step = "exclude", classes = ["mito"] }]

[default.semantic]
steps = [{ step = "threshold", above = 0.5 }]  # the end
"""
RECIPE = parse_recipe(TEXT)
MITO = RECIPE.classes["mito"]


def test_the_same_recipe_is_the_same_text() -> None:
    assert text_with(TEXT, RECIPE) == TEXT


def test_a_changed_option_changes_its_number_alone() -> None:
    step = with_option(MITO.steps[1], "above", 0.6)
    assert text_with(TEXT, with_class(RECIPE, "mito", with_other(MITO, 1, step))) == TEXT.replace("0.45", "0.6")


def test_a_step_is_added_and_left_out_between_comments_that_stay() -> None:
    added = text_with(TEXT, with_class(RECIPE, "mito", with_step(MITO, 3, new_step("open"))))
    holes = '    "fill_holes",\n'
    assert added == TEXT.replace(holes, holes + '    { step = "open", radius_nm = 8.0 },\n')
    assert text_with(TEXT, with_class(RECIPE, "mito", without_step(MITO, 2))) == TEXT.replace(holes, "")


def test_a_class_comes_and_goes_and_the_others_stay() -> None:
    written = text_with(TEXT, with_class(with_class(RECIPE, "er", None), "ves", MITO))
    assert written is not None
    assert written.startswith(TEXT[: TEXT.index("# er is thin")])
    assert written.endswith(TEXT[TEXT.index("[default") :])
    assert set(parse_recipe(written).classes) == {"mito", "ves"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-4, 4), st.booleans()), max_size=5))
def test_what_is_written_says_what_is_meant_after_any_changes(changes: list[tuple[int, int, bool]]) -> None:
    own = MITO
    for at, places, is_new in changes:
        at = min(at, len(own.steps) - 1)
        changed = moved(own, at, places) if places else without_step(own, at) if len(own.steps) > 1 else own
        changed = with_step(changed, at, new_step("close")) if is_new else changed
        own = changed if not problem_of(Recipe({"mito": changed}))[1] else own
    written = text_with(TEXT, with_class(RECIPE, "mito", own))
    assert written is not None
    assert recipe_text(parse_recipe(written)) == recipe_text(with_class(RECIPE, "mito", own))
    assert all(words in written for words in ("# by hand", "# large ones", "# er is thin", "# the end"))


def test_a_file_whose_form_has_no_place_for_it_is_not_written() -> None:
    both = '[default]\nsteps = [{ step = "threshold", above = 0.5 }]  # both\n'
    assert text_with(both, with_class(parse_recipe(both), "other semantic classes", MITO)) is None
    assert text_with("no recipe", RECIPE) is None
