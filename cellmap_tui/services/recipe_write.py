"""A recipe written into the text of a file: what stays as it was keeps its words, comments and order."""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.process_recipe import KINDS, ClassRecipe, Recipe, parse_recipe, recipe_text
from cellmap_tui.services.process_steps import Step, read_step

if TYPE_CHECKING:
    from tomlkit.items import Array


def text_with(text: str, recipe: Recipe) -> str | None:
    """Return the text of a recipe file with another recipe in it; None where its comments cannot be kept.

    Parameters
    ----------
    text
        What the file says now.
    recipe
        What it shall say. Classes, steps and options that are the same stay letter by letter.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        before = parse_recipe(text)
        document = tomlkit.parse(text)
        _put_all(document, before, recipe)
        written = tomlkit.dumps(document)
        # Nothing is written that does not say exactly what is meant.
        return written if _texts(parse_recipe(written)) == _texts(recipe) else None
    except (CellmapError, TOMLKitError, KeyError, IndexError, TypeError, ValueError):
        return None


def has_comments(text: str) -> bool:
    """Return whether a recipe's text says more than its steps."""
    return any("#" in line for line in text.splitlines())


def _texts(recipe: Recipe) -> set[str]:
    """Return the tables of a recipe, whose order does not count."""
    own = {recipe_text(Recipe({name: steps})) for name, steps in recipe.classes.items()}
    return own | {recipe_text(Recipe(instance=recipe.instance)), recipe_text(Recipe(semantic=recipe.semantic))}


def _put_all(document: Any, before: Recipe, after: Recipe) -> None:
    for name in before.classes:
        if name not in after.classes:
            del document["classes"][name]
    for name, own in after.classes.items():
        _put(document, "classes", name, before.classes.get(name), own)
    for kind in KINDS:
        old, new = getattr(before, kind), getattr(after, kind)
        if new is None and old is not None:
            del document["default"][kind]
        elif new is not None:
            _put(document, "default", kind, old, new)


def _put(document: Any, group: str, name: str, before: ClassRecipe | None, after: ClassRecipe) -> None:
    import tomlkit

    if before == after:
        return
    if before is None:
        if group not in document:
            document.add(group, tomlkit.table(is_super_table=True))
        whole = Recipe({name: after}) if group == "classes" else replace(Recipe(), **{name: after})  # type: ignore[arg-type]
        document[group].add(name, tomlkit.parse(recipe_text(whole))[group][name])
        return
    table = document[group][name]
    for key, value in (("predictions", after.predictions), ("from", after.source)):
        if value is None:
            table.pop(key, None)
        elif table.get(key) != value:
            table[key] = value
    _put_steps(table["steps"], after.steps)


def _put_steps(array: Array, after: tuple[Step, ...]) -> None:
    """Change, leave out and add steps of an array, from the last to the first."""
    before = [read_step("step", _plain(value)) for value in array]
    pairs = SequenceMatcher(None, [step.name for step in before], [step.name for step in after], autojunk=False)
    for kind, first, stop, start, end in reversed(pairs.get_opcodes()):
        if kind == "equal":
            for at, step in zip(range(first, stop), after[start:end], strict=True):
                if before[at] != step:
                    array[at] = _changed(array[at], step)
            continue
        for at in reversed(range(first, stop)):
            del array[at]
        for step in reversed(after[start:end]):
            array.insert(first, _inline(step))


def _changed(value: Any, step: Step) -> Any:
    """Return a step with other options; those that are the same stay as they are written."""
    if isinstance(value, str):
        return _inline(step) if step.options else value
    for key in [key for key in value if key != "step" and key not in step.options]:
        del value[key]
    for key, option in step.options.items():
        if key not in value or _plain(value[key]) != option:
            value[key] = list(option) if isinstance(option, tuple) else option
    return value


def _inline(step: Step) -> Any:
    import tomlkit

    text = recipe_text(Recipe({"one": ClassRecipe((step,))}))
    found: Any = tomlkit.parse(text)
    return found["classes"]["one"]["steps"][0]


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value
