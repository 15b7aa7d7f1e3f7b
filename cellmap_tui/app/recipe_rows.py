"""A recipe as rows: the classes with their steps in a line, and the steps of one class with their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.services.process_steps import STEPS
from cellmap_tui.services.recipe_edits import DEFAULTS, has_own, problem_of, steps_of, typed
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cellmap_tui.services.predicted_crops import PredictedCrop
    from cellmap_tui.services.process_model import PreviewStep
    from cellmap_tui.services.process_recipe import ClassRecipe, Kind, Recipe


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class, or what stands for the others."""

    name: str
    """Its name, or one of `DEFAULTS`."""
    kind: Kind
    """How it is scored."""
    words: str
    """Its steps in a line."""
    is_own: bool
    """Whether the recipe says something about it."""
    crops: int
    """Crops in which it is predicted, or could be made of what is."""
    problem: str = ""
    """What is wrong with its steps."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step, or one option of it."""

    at: int
    """Number of the step, from 0."""
    step: str
    """Its name."""
    option: str = ""
    """Name of the option; empty: the step itself."""
    value: str = ""
    """The option's value, or what there is to say of the step."""
    is_given: bool = True
    """Whether the recipe says the value."""
    foreground: int | None = None
    """Voxels that the step leaves."""
    objects: int | None = None
    """Objects that it leaves."""
    problem: str = ""
    """Why it cannot be done here."""

    @property
    def key(self) -> tuple[int, str]:
        """What identifies it."""
        return self.at, self.option

    @property
    def help(self) -> str:
        """What it does."""
        kind = STEPS[self.step]
        return kind.options[self.option].words if self.option else kind.words


def class_rows(recipe: Recipe, crops: Sequence[PredictedCrop], kinds: Mapping[str, Kind]) -> tuple[ClassRow, ...]:
    """Return the predicted classes, those of the recipe, and what stands for all others."""
    seen: dict[str, int] = {}
    for crop in crops:
        for name in (*crop.classes, *(one for one in crop.groups if one in recipe.classes)):
            seen[name] = seen.get(name, 0) + 1
    names = dict.fromkeys([*recipe.classes, *sorted(seen)])
    rows = [_class_row(recipe, name, kinds.get(name, "semantic"), seen.get(name, 0)) for name in names]
    return (*rows, *(_class_row(recipe, name, kind, 0) for name, kind in DEFAULTS.items()))


def _class_row(recipe: Recipe, name: str, kind: Kind, crops: int) -> ClassRow:
    is_own = has_own(recipe, name)
    problem = problem_of(recipe, name) if is_own else (None, "")
    mine = problem[1] if _is_about(problem[1], name) else ""
    return ClassRow(name, kind, steps_of(recipe, name, kind).words, is_own, crops, mine)


def _is_about(problem: str, name: str) -> bool:
    return f"default.{DEFAULTS[name]}" in problem if name in DEFAULTS else f"classes.{name}:" in problem


def step_rows(own: ClassRecipe, told: Sequence[PreviewStep], problem: tuple[int | None, str]) -> tuple[StepRow, ...]:
    """Return the steps of a class, each followed by its options."""
    rows = []
    for at, step in enumerate(own.steps):
        seen = told[at] if at < len(told) and told[at].words == step.words else None
        wrong = problem[1] if problem[0] == at else ""
        rows.append(
            StepRow(
                at,
                step.name,
                foreground=seen.foreground if seen else None,
                objects=seen.objects if seen else None,
                problem=wrong,
            )
        )
        for name in STEPS[step.name].options:
            rows.append(StepRow(at, step.name, name, typed(step[name]), name in step.options))
    return tuple(rows)


def class_columns() -> tuple[Column[ClassRow], ...]:
    """Return the columns of the classes."""
    return (
        Column("own", "", 1, lambda row: sign("error") if row.problem else sign("marked") if row.is_own else " ",
               look=lambda row: "bad" if row.problem else "accent"),
        Column("name", "class", 10, lambda row: row.name, max_width=22),
        Column("kind", "kind", 4, lambda row: row.kind[:4], priority=2),
        Column("crops", "crops", 5, lambda row: count(row.crops) if row.crops else "-", align="right", priority=3),
        Column("steps", "steps", 8, lambda row: row.words, max_width=120, priority=1,
               look=lambda row: "" if row.is_own else "dim"),
    )  # fmt: skip


def step_columns() -> tuple[Column[StepRow], ...]:
    """Return the columns of the steps."""
    return (
        Column("name", "step", 18, _name, max_width=20, look=lambda row: "" if row.option else "strong"),
        Column("value", "", 9, _value, max_width=44, look=_look),
        Column("foreground", "voxels", 10, lambda row: "" if row.foreground is None else count(row.foreground),
               align="right", priority=2),
        Column("objects", "objects", 7, lambda row: "" if row.objects is None else count(row.objects),
               align="right", priority=1),
    )  # fmt: skip


def _name(row: StepRow) -> str:
    return f"   {row.option}" if row.option else f"{row.at + 1}  {row.step}"


def _value(row: StepRow) -> str:
    if row.problem:
        return f"{sign('error')} {printable(row.problem.rpartition(f', {row.step}, ')[2])}"
    return (row.value or "-") if row.option else ""


def _look(row: StepRow) -> str:
    if row.problem:
        return "bad"
    return "accent" if row.is_given else "dim"
