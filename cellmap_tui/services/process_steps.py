"""The steps of recipes: their options, what they need and what they leave. What they do is in `process_class`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.challenge.targets import CORE_SEED_VOXELS
from cellmap_tui.errors import DataError, RequestError
from cellmap_tui.text import nearest, number, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = Literal["probability", "mask", "objects"]
"""What a volume is between two steps."""


class RecipeError(RequestError, DataError):
    """A recipe that is wrong; names class and step."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a step."""

    kind: Literal["number", "count", "text", "names"]
    """``count``: a whole number."""
    words: str
    """What it is."""
    default: Any = None
    """Its value where it is not given; None: it has to be, or nothing is meant."""
    least: float = 0.0
    """Smallest value."""
    most: float = math.inf
    """Largest value."""
    choices: tuple[str, ...] = ()
    """The only values of a text."""
    is_needed: bool = False
    """Whether it has to be given."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """What a step is."""

    words: str
    """What it does, in one line."""
    takes: tuple[Form, ...]
    """What it can be done on."""
    leaves: Form | None = None
    """What it leaves; None: what it took."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Its options."""
    one_of: tuple[str, ...] = ()
    """At least one of these options has to be given."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a recipe."""

    name: str
    """What is done."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that were given."""

    def __getitem__(self, option: str) -> Any:
        """Return the value of an option, given or not."""
        return self.options.get(option, STEPS[self.name].options[option].default)

    @property
    def takes(self) -> tuple[Form, ...]:
        """What it can be done on."""
        return STEPS[self.name].takes

    def leaves(self, form: Form) -> Form:
        """Return what it leaves of a form."""
        return STEPS[self.name].leaves or form

    @property
    def classes(self) -> tuple[str, ...]:
        """Other classes that it names."""
        return tuple(self.options.get("classes", ()))

    @property
    def reads_labels(self) -> bool:
        """Whether it needs the labels of the classes that it names."""
        return self.name == "union" or (self.name == "exclude" and self["by"] == "labels")

    @property
    def words(self) -> str:
        """The step in a few words."""
        values = [f"{key} {_shown(value)}" for key, value in self.options.items()]
        return f"{self.name} {', '.join(values)}".strip()


_THIN = {"radius_nm": Option("number", "radius of the ball in nm", is_needed=True, least=1e-3, most=1e5)}
_CORES_MISSING = Option(
    "text", "where no core is predicted: fail, or take components", "fail", choices=("fail", "components")
)
STEPS: dict[str, StepKind] = {
    "sigmoid": StepKind("logits to probabilities; nothing where they are probabilities", ("probability",)),
    "smooth": StepKind(
        "a Gaussian over the probabilities",
        ("probability",),
        options={"sigma_nm": Option("number", "its width in nm", is_needed=True, most=1e4)},
    ),
    "threshold": StepKind(
        "foreground is above a probability",
        ("probability",),
        "mask",
        {"above": Option("number", "the probability", 0.5, most=1.0)},
    ),
    "open": StepKind("remove what is thinner than a ball", ("mask",), options=_THIN),
    "close": StepKind("fill gaps that are thinner than a ball", ("mask",), options=_THIN),
    "fill_holes": StepKind(
        "fill what is cut off from the faces of the crop",
        ("mask",),
        options={"max_voxels": Option("count", "larger holes stay")},
    ),
    "remove_small": StepKind(
        "remove objects, or connected pieces of a mask, by their size",
        ("mask", "objects"),
        options={
            "min_voxels": Option("count", "smaller ones go"),
            "max_voxels": Option("count", "larger ones go"),
            "min_nm3": Option("number", "smaller ones go, in cubic nm"),
            "max_nm3": Option("number", "larger ones go, in cubic nm"),
        },
        one_of=("min_voxels", "max_voxels", "min_nm3", "max_nm3"),
    ),
    "components": StepKind(
        "each connected piece is an object",
        ("mask",),
        "objects",
        {"connectivity": Option("count", "6 or 26 neighbours", 26, choices=("6", "26"))},
    ),
    "cores": StepKind(
        "objects grown from the pieces of their predicted cores",
        ("mask",),
        "objects",
        {
            "above": Option("number", "a core is above this probability", 0.5, most=1.0),
            "min_seed_voxels": Option("count", "smaller pieces of core are no seeds", CORE_SEED_VOXELS),
            "core": Option("text", "name of the prediction; not given: CLASS/core"),
            "missing": _CORES_MISSING,
        },
    ),
    "watershed": StepKind(
        "each connected piece is split where it is thin, or along a map of boundaries",
        ("mask",),
        "objects",
        {
            "by": Option("text", "what is flooded", "distance", choices=("distance", "boundary")),
            "apart_nm": Option("number", "distance: seeds are this far apart", 100.0),
            "boundary": Option("text", "boundary: name of the prediction; not given: 1 - the class's own"),
            "below": Option("number", "boundary: pieces below it are seeds", 0.3, most=1.0),
            "min_seed_voxels": Option("count", "boundary: smaller pieces are no seeds", 20),
        },
    ),
    "exclude": StepKind(
        "take voxels out that belong to other classes",
        ("mask", "objects"),
        options={
            "classes": Option("names", "the other classes", is_needed=True),
            "by": Option(
                "text", "their labels, or a higher probability", "labels", choices=("labels", "probability")
            ),
        },
    ),
    "union": StepKind(
        "what belongs to any of other classes, in place of a prediction",
        ("probability",),
        "mask",
        {"classes": Option("names", "the classes; not given: the members of the group")},
    ),
}
"""Every step, in the order in which a recipe usually has them."""


def read_step(where: str, value: object) -> Step:
    """Return a step from its table in a recipe.

    Raises
    ------
    RecipeError
        If the step or an option is unknown, missing or out of range.
    """
    if isinstance(value, str):
        value = {"step": value}
    if not isinstance(value, dict) or not isinstance(value.get("step"), str):
        raise RecipeError(f"{where}: is no step", 'write for example { step = "threshold", above = 0.5 }')
    name = value["step"]
    if name not in STEPS:
        near = nearest(name, STEPS)
        raise RecipeError(
            f"{where}: unknown step {printable(name)}",
            f"did you mean {near}?" if near else f"there are {', '.join(STEPS)}",
        )
    kind = STEPS[name]
    options = {key: _option(f"{where}, {name}", kind, key, one) for key, one in value.items() if key != "step"}
    missing = [key for key, option in kind.options.items() if option.is_needed and key not in options]
    if missing or (kind.one_of and not any(key in options for key in kind.one_of)):
        needed = ", ".join(missing) or f"one of {', '.join(kind.one_of)}"
        raise RecipeError(f"{where}, {name}: needs {needed}", f"what it does: {kind.words}")
    return Step(name, options)


def _option(where: str, kind: StepKind, key: str, value: object) -> Any:
    if key not in kind.options:
        near = nearest(key, kind.options)
        known = ", ".join(kind.options) or "none"
        raise RecipeError(
            f"{where}: unknown option {printable(key)}", f"did you mean {near}?" if near else f"it has {known}"
        )
    option = kind.options[key]
    if not _fits(option, value):
        raise RecipeError(f"{where}: {key} = {printable(str(value))[:60]} is not {_wanted(option)}", option.words)
    return value


def _fits(option: Option, value: object) -> bool:
    if option.kind == "text":
        return isinstance(value, str) and (not option.choices or value in option.choices)
    if option.kind == "names":
        return isinstance(value, list) and bool(value) and all(isinstance(name, str) and name for name in value)
    if isinstance(value, bool) or not isinstance(value, int if option.kind == "count" else int | float):
        return False
    return option.least <= value <= option.most and (not option.choices or str(value) in option.choices)


def _wanted(option: Option) -> str:
    if option.choices:
        return f"one of {', '.join(option.choices)}"
    if option.kind in ("text", "names"):
        return "text" if option.kind == "text" else "a list of class names"
    what = "a whole number" if option.kind == "count" else "a number"
    most = "" if option.most == math.inf else f" to {number(option.most)}"
    return f"{what} from {number(option.least)}{most}"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "+".join(str(one) for one in value)
    return number(value) if isinstance(value, float) else str(value)
