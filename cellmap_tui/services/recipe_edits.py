"""Changes of a recipe, one at a time: add, change, move and leave out steps of a class.

A recipe may be wrong in between, such as with cores before the threshold; `problem_of` says where and why.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.process_recipe import KINDS, ClassRecipe, Kind, Recipe, parse_recipe, recipe_text
from cellmap_tui.services.process_steps import STEPS, Option, RecipeError, Step, read_step
from cellmap_tui.text import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.services.process_steps import Form

DEFAULTS: dict[str, Kind] = {f"other {kind} classes": kind for kind in KINDS}
"""What stands for the steps of classes that have none of their own."""
SUGGESTED: dict[str, dict[str, Any]] = {
    "smooth": {"sigma_nm": 8.0},
    "open": {"radius_nm": 8.0},
    "close": {"radius_nm": 8.0},
    "remove_small": {"min_voxels": 100},
}
"""Options that a new step begins with, where it needs some."""
_ONE_STEP = {"above": 0.05, "below": 0.05}
_NM_STEP = 4.0
_FACTOR = 2


def steps_of(recipe: Recipe, name: str, kind: Kind) -> ClassRecipe:
    """Return the steps of a class, or of the others where `name` is one of `DEFAULTS`."""
    if name in DEFAULTS:
        return recipe.of("", DEFAULTS[name])
    return recipe.of(name, kind)


def has_own(recipe: Recipe, name: str) -> bool:
    """Return whether a class has steps of its own, or the others something else than the built-in steps."""
    if name in DEFAULTS:
        return getattr(recipe, DEFAULTS[name]) is not None
    return name in recipe.classes


def with_class(recipe: Recipe, name: str, own: ClassRecipe | None) -> Recipe:
    """Return a recipe with other steps of a class; None: without any of its own."""
    if name in DEFAULTS:
        return replace(recipe, instance=own) if DEFAULTS[name] == "instance" else replace(recipe, semantic=own)
    classes = {label: one for label, one in recipe.classes.items() if label != name or own is not None}
    return replace(recipe, classes=classes if own is None else {**classes, name: own})


def with_step(own: ClassRecipe, at: int, step: Step) -> ClassRecipe:
    """Return steps with a new one before the one at `at`."""
    return replace(own, steps=(*own.steps[:at], step, *own.steps[at:]))


def without_step(own: ClassRecipe, at: int) -> ClassRecipe:
    """Return steps without one of them."""
    return replace(own, steps=(*own.steps[:at], *own.steps[at + 1 :]))


def with_other(own: ClassRecipe, at: int, step: Step) -> ClassRecipe:
    """Return steps with another in the place of one."""
    return replace(own, steps=(*own.steps[:at], step, *own.steps[at + 1 :]))


def moved(own: ClassRecipe, at: int, places: int) -> ClassRecipe:
    """Return steps with one of them further up or down."""
    to = max(0, min(len(own.steps) - 1, at + places))
    return with_step(without_step(own, at), to, own.steps[at])


def with_option(step: Step, name: str, value: Any) -> Step:
    """Return a step with a value of an option; None takes it back.

    Raises
    ------
    RecipeError
        If the value is none of that option, or the step needs it.
    """
    options = {key: one for key, one in step.options.items() if key != name or value is not None}
    if value is not None:
        options[name] = value
    return read_step("this step", {"step": step.name, **options})


def new_step(name: str, classes: Iterable[str] = ()) -> Step:
    """Return a step with what it needs filled in; `classes` are those of an exclusion."""
    options = dict(SUGGESTED.get(name, {}))
    if name == "exclude":
        options["classes"] = list(classes)
    return read_step("this step", {"step": name, **options})


def fitting(own: ClassRecipe, at: int) -> list[str]:
    """Return the kinds of steps, those that can be done at a place first."""
    form = form_before(own, at)
    return sorted(STEPS, key=lambda name: form not in STEPS[name].takes)


def form_before(own: ClassRecipe, at: int) -> Form:
    """Return what there is before a step."""
    form: Form = "probability"
    for step in own.steps[:at]:
        form = step.leaves(form)
    return form


def read_option(option: Option, typed: str) -> Any:
    """Return the value that was typed for an option; None for an empty line.

    Raises
    ------
    RecipeError
        If it is no number where one is meant.
    """
    text = typed.strip()
    if not text:
        return None
    if option.kind == "names":
        return text.replace(",", " ").replace("+", " ").split()
    if option.kind == "text":
        return text
    try:
        return int(text.replace(" ", "")) if option.kind == "count" else float(text)
    except ValueError:
        what = "a whole number" if option.kind == "count" else "a number"
        raise RecipeError(f"{text!r} is not {what}", option.words) from None


def typed(value: object) -> str:
    """Return a value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def nudged(step: Step, name: str, direction: Literal[1, -1]) -> Any:
    """Return the value of an option one notch up or down; what it is where it has no notches."""
    option, value = STEPS[step.name].options[name], step[name]
    if option.choices:
        at = option.choices.index(str(value)) + direction
        chosen = option.choices[at % len(option.choices)]
        return int(chosen) if option.kind == "count" else chosen
    if option.kind not in ("number", "count"):
        return value
    if name in _ONE_STEP:
        value = round(value + direction * _ONE_STEP[name], 4)
    elif name.endswith("_nm"):
        value = float(value or 0) + direction * _NM_STEP
    elif direction > 0:
        value = max(1, (value or 0) * _FACTOR)
    else:
        value = type(value or 0)((value or 0) / _FACTOR)
    value = min(option.most, max(option.least, value))
    return int(value) if option.kind == "count" else value


def problem_of(recipe: Recipe, name: str = "") -> tuple[int | None, str]:
    """Return what is wrong with a recipe, of one class before the others, and at which of its steps."""
    own = recipe.classes.get(name) if name not in DEFAULTS else getattr(recipe, DEFAULTS[name])
    if own is not None:
        part = with_class(Recipe(), name, own)
        problem = _problem(part)
        if problem:
            return _step_at(own), problem
    return None, _problem(recipe)


def read_lenient(text: str) -> Recipe:
    """Read a recipe whose steps may be in an order that cannot be; what is no step at all is left out."""
    try:
        return parse_recipe(text)
    except CellmapError:
        pass
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return Recipe()
    tables, default = values.get("classes", {}), values.get("default", {})
    if not isinstance(tables, dict) or not isinstance(default, dict):
        return Recipe()
    classes = {name: own for name, table in tables.items() if (own := _lenient_class(table)) is not None}
    return Recipe(classes, *(_lenient_class(default.get(kind)) for kind in KINDS))


def _problem(recipe: Recipe) -> str:
    text = recipe_text(recipe)
    if not text.strip():
        return ""
    try:
        parse_recipe(text)
    except CellmapError as error:
        return f"{error.message.removeprefix('recipe: ')}{f': {error.remedy}' if error.remedy else ''}"
    return ""


def _step_at(own: ClassRecipe) -> int | None:
    form: Form = "probability"
    for at, step in enumerate(own.steps):
        if form not in step.takes:
            return at
        form = step.leaves(form)
    return None


def _lenient_class(table: object) -> ClassRecipe | None:
    if not isinstance(table, dict) or not isinstance(table.get("steps"), list):
        return None
    steps = []
    for value in table["steps"]:
        try:
            steps.append(read_step("step", value))
        except RecipeError:
            continue
    texts = [value if isinstance(value, str) else None for value in (table.get("predictions"), table.get("from"))]
    return ClassRecipe(tuple(steps), *texts)
