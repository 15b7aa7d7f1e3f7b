"""Recipes: the steps that turn the prediction of a class into labels, as TOML.

Owns the format, its checks and the built-in recipe. What steps do is told by their names here and done
in `process_class`. A file looks like this::

    [classes.mito]
    steps = [
        { step = "smooth", sigma_nm = 8 },
        { step = "threshold", above = 0.45 },
        { step = "cores" },
        { step = "remove_small", min_voxels = 200 },
    ]

    [default.semantic]
    steps = [{ step = "threshold", above = 0.5 }]
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import MissingDataError
from cellmap_tui.services.process_steps import Form, RecipeError, Step, read_step
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Kind = Literal["instance", "semantic"]
KINDS: tuple[Kind, ...] = ("instance", "semantic")
MAX_FILE_BYTES = 2**20
_CLASS_KEYS = ("steps", "predictions", "from")


@dataclass(frozen=True, slots=True)
class ClassRecipe:
    """The steps of one class."""

    steps: tuple[Step, ...]
    """One after the other."""
    predictions: str | None = None
    """Folder or template of its predictions, in place of the request's: the best run of the class."""
    source: str | None = None
    """Name of the prediction that it starts from; None: the class's own."""

    @property
    def kind(self) -> Kind:
        """What comes out: object ids, or 0 and 1."""
        return "instance" if _last_form(self.steps) == "objects" else "semantic"

    @property
    def words(self) -> str:
        """The steps in one line."""
        return " · ".join(step.words for step in self.steps)

    @property
    def others(self) -> tuple[str, ...]:
        """Classes whose labels have to be there first."""
        names = [name for step in self.steps if step.reads_labels for name in step.classes]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The steps of every class."""

    classes: Mapping[str, ClassRecipe] = field(default_factory=dict)
    """Classes that have steps of their own."""
    instance: ClassRecipe | None = None
    """Steps of the other classes that are scored object by object; None: the built-in ones."""
    semantic: ClassRecipe | None = None
    """Steps of the other classes that are scored voxel by voxel; None: the built-in ones."""

    def of(self, label: str, kind: Kind) -> ClassRecipe:
        """Return the steps of a class that is scored as `kind` says."""
        if label in self.classes:
            return self.classes[label]
        given = self.instance if kind == "instance" else self.semantic
        return given or built_in(kind)


def built_in(kind: Kind) -> ClassRecipe:
    """Return the steps of a class that nothing is said about.

    A threshold of one half; objects by their cores where these are predicted, else connected parts.
    """
    steps: list[dict[str, Any]] = [{"step": "threshold", "above": 0.5}]
    if kind == "instance":
        steps += [{"step": "cores", "missing": "components"}]
    return _class_recipe("the built-in recipe", {"steps": steps})


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises
    ------
    MissingDataError
        If it cannot be read.
    RecipeError
        If it is not a recipe; names class and step.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MissingDataError(f"recipe {path} cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_FILE_BYTES:
        raise RecipeError(f"{path} is too large to be a recipe")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RecipeError(f"{path} is not text in UTF-8", "write it as TOML") from None
    return parse_recipe(text, path.name)


def parse_recipe(text: str, where: str = "recipe") -> Recipe:
    """Read a recipe from its text; errors as `read_recipe`."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{where} is not TOML: {printable(str(error))}", "correct the file") from None
    _check_keys(where, values, ("classes", "default"))
    classes, default = (_table(where, name, values.get(name, {})) for name in ("classes", "default"))
    if "steps" in default:
        default = dict.fromkeys(KINDS, default)
    _check_keys(f"{where}: default", default, KINDS)
    given = {kind: _class_recipe(f"{where}: default.{kind}", default[kind]) for kind in KINDS if kind in default}
    own = {name: _class_recipe(f"{where}: classes.{name}", value) for name, value in classes.items()}
    recipe = Recipe(own, given.get("instance"), given.get("semantic"))
    _check_order(where, recipe)
    return recipe


def recipe_text(recipe: Recipe) -> str:
    """Return a recipe as the text of its file."""
    tables = {f"classes.{_key(name)}": one for name, one in recipe.classes.items()}
    tables |= {f"default.{kind}": one for kind in KINDS if (one := getattr(recipe, kind)) is not None}
    return "\n".join(_class_text(name, one) for name, one in tables.items())


def in_order(labels: list[str], recipes: Mapping[str, ClassRecipe]) -> list[str]:
    """Return classes so that each comes after those that its steps read.

    Raises
    ------
    RecipeError
        If classes wait for each other.
    """
    ordered: list[str] = []

    def add(label: str, above: tuple[str, ...]) -> None:
        if label in above:
            circle = " → ".join((*above[above.index(label) :], label))
            raise RecipeError(f"the recipes of {circle} wait for each other", "take one of the exclusions out")
        if label in ordered:
            return
        for other in recipes[label].others if label in recipes else ():
            if other in labels:
                add(other, (*above, label))
        ordered.append(label)

    for label in labels:
        add(label, ())
    return ordered


def _check_order(where: str, recipe: Recipe) -> None:
    try:
        in_order(list(recipe.classes), recipe.classes)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error.message}", error.remedy) from None


def _class_recipe(where: str, value: object) -> ClassRecipe:
    table = _table(where, "", value)
    _check_keys(where, table, _CLASS_KEYS)
    found = table.get("steps")
    if not isinstance(found, list) or not found:
        raise RecipeError(f"{where}: has no steps", 'write for example steps = [{ step = "threshold", above = 0.5 }]')
    steps = tuple(read_step(f"{where}: step {number}", one) for number, one in enumerate(found, start=1))
    _check_forms(where, steps)
    texts = [_text(where, name, table.get(name)) for name in ("predictions", "from")]
    return ClassRecipe(steps, *texts)


def _check_forms(where: str, steps: tuple[Step, ...]) -> None:
    """Refuse steps that do not fit what the one before leaves."""
    form: Form = "probability"
    for number, step in enumerate(steps, start=1):
        if form not in step.takes:
            wanted = " or ".join(_FORM_WORDS[one] for one in step.takes)
            raise RecipeError(
                f"{where}: step {number}, {step.name}, needs {wanted}, and it gets {_FORM_WORDS[form]}",
                "put a threshold before it" if form == "probability" else "move it before the objects are told apart",
            )
        form = step.leaves(form)
    if form == "probability":
        raise RecipeError(f"{where}: ends with a probability", "add a threshold; labels are masks or objects")


_FORM_WORDS: dict[Form, str] = {"probability": "a probability", "mask": "a mask", "objects": "objects"}


def _last_form(steps: tuple[Step, ...]) -> Form:
    form: Form = "probability"
    for step in steps:
        form = step.leaves(form)
    return form


def _class_text(name: str, recipe: ClassRecipe) -> str:
    lines = [f"[{name}]"]
    if recipe.predictions is not None:
        lines.append(f"predictions = {_toml(recipe.predictions)}")
    if recipe.source is not None:
        lines.append(f"from = {_toml(recipe.source)}")
    lines.append("steps = [")
    for step in recipe.steps:
        options = "".join(f", {key} = {_toml(value)}" for key, value in step.options.items())
        lines.append(f"    {{ step = {_toml(step.name)}{options} }},")
    return "\n".join([*lines, "]", ""])


def _toml(value: object) -> str:
    import json

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return repr(value)


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _toml(name)


def _table(where: str, name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: {name or 'it'} is not a table", "write it as [classes.NAME]")
    return value


def _text(where: str, name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise RecipeError(f"{where}: {name} is not text")
    return value


def _check_keys(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            near = nearest(name, known)
            raise RecipeError(
                f"{where}: unknown key {printable(name)}",
                f"did you mean {near}?" if near else f"there are {', '.join(known)}",
            )
