"""The rows of the form of a configuration: each key with value, type, unit, default, help, and its origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.app.config_draft import RUN_ROWS
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.config_draft import ConfigDraft
    from cellmap_tui.learning.config_kinds import Kind
    from cellmap_tui.services.config import ConfigProblem
    from cellmap_tui.services.config import ConfigRow as ToldRow

HERE = "here"
"""Where a value comes from that was typed into the form."""
RUN_GROUP = "training"
OTHER_GROUP = "not a key"
UNITS = {
    "filter_by_scale": "nm",
    "input_array_info": "shape in voxels, scale in nm; z, y, x",
    "target_array_info": "shape in voxels, scale in nm; z, y, x",
    "batch_size": "patches",
    "iterations_per_epoch": "batches",
    "validation_prob": "share, 0 to 1",
    "foreground_share": "share, 0 to 1",
    "empty_share": "share, 0 to 1",
    "warmup_epochs": "epochs",
    "epochs": "epochs",
    "gradient_accumulation_steps": "batches",
    "max_hours": "hours",
    "early_stop": "validations",
    "val_every": "epochs",
    "smoothing_window": "validations",
    "validation_time_limit": "seconds",
    "validation_batch_limit": "batches",
    "devices": "GPUs",
    "workers": "threads",
    "cache_gb": "GB",
    "score_every": "epochs",
}
"""What numbers of a key are counted in."""
_RUN_WORDS = {
    "config": ("a .toml or .py file, or a run's folder", "the file that everything below starts from"),
    "init_from": ("a .pth file, or a run's folder", "weights to start from; layers that do not fit start fresh"),
    "score_every": ("a whole number of at least 1, or none", "epochs between official scores of validation crops"),
    "score_profile": ("the name of a profile", "rules of these scores"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormRow:
    """One line of the form."""

    name: str
    """Name of the key."""
    group: str
    """Heading it belongs to."""
    value: str
    """Its value, as it can be typed."""
    origin: str
    """``default``, ``line 12`` of the file, ``--set``, or ``here``."""
    default: str
    """Its default, as it can be typed; empty where there is none."""
    takes: str
    """What it takes, in words."""
    help: str
    """What it means."""
    problem: str = ""
    """What is wrong with it, and what to do."""
    choices: tuple[str, ...] = ()
    """All it takes, where that can be listed."""
    can_type: bool = True
    """Whether its value stands in the line that is typed; an object of a Python file does not."""

    @property
    def is_set(self) -> bool:
        """Whether somebody has set it."""
        return self.origin != "default"

    @property
    def unit(self) -> str:
        """What it is counted in; empty where it is no number."""
        return UNITS.get(self.name, "")

    @property
    def search_text(self) -> str:
        """What a filter looks in."""
        state = "changed" if self.origin == HERE else "set" if self.is_set else ""
        return f"{self.name} {self.group} {self.value} {self.help} {self.origin} {state} {self.problem and 'wrong'}"


def typed_value(value: Any, kind: Kind) -> tuple[str, bool]:
    """Return a plain value as it would be typed, and whether typing that gives the value again."""
    from cellmap_tui.learning.config_kinds import UnfitError
    from cellmap_tui.learning.config_read import value_of_text
    from cellmap_tui.learning.config_write import toml_value

    toml = " ".join(toml_value(value).split())
    for text in (*_short(value), toml):
        try:
            if kind.read(value_of_text(text)) == kind.read(value):
                return text, True
        except UnfitError:
            continue
    return ("none" if value is None else value if isinstance(value, str) else toml), False


def form_rows(
    draft: ConfigDraft, told: Sequence[ToldRow], problems: Sequence[ConfigProblem], error: CellmapError | None
) -> tuple[FormRow, ...]:
    """Return the lines of the form.

    Parameters
    ----------
    draft
        What is typed.
    told
        The keys with the values that hold.
    problems
        What is wrong with keys.
    error
        Why the configuration file cannot be read; None: it can.
    """
    wrong = {problem.key: _words(problem.message, problem.remedy) for problem in reversed(problems)}
    texts = draft.texts
    rows = [_run_row(name, draft, error) for name in RUN_ROWS]
    rows += [_row(row, texts, wrong.get(row.key, "")) for row in told]
    known = {row.key for row in told}
    rows += [
        FormRow(
            p.key, OTHER_GROUP, "-", short_origin(p.place), "", "", "", _words(p.message, p.remedy), can_type=False
        )
        for p in problems
        if p.key not in known
    ]
    return tuple(rows)


def short_origin(origin: str) -> str:
    """Return where a value comes from, without the name of the file, which the form's title tells."""
    _, comma, line = origin.rpartition(", ")
    return line if comma and line.startswith("line ") else origin


def _row(row: ToldRow, texts: dict[str, str], problem: str) -> FormRow:
    from cellmap_tui.learning.config_model import keys

    kind = keys()[row.key].kind
    value, can_type = typed_value(row.value, kind)
    is_here = row.key in texts
    return FormRow(
        name=row.key,
        group=row.group,
        value=texts[row.key] if is_here else value,
        origin=HERE if is_here else short_origin(row.origin),
        default=typed_value(row.default, kind)[0],
        takes=row.takes,
        help=row.help,
        problem=problem,
        choices=_choices(kind),
        can_type=can_type or is_here,
    )


def _choices(kind: Kind) -> tuple[str, ...]:
    from cellmap_tui.learning.config_kinds import UnfitError

    if not kind.choices or "none" in kind.choices:
        return kind.choices
    try:
        kind.read("none")
    except UnfitError:
        return kind.choices
    return ("none", *kind.choices)


def _run_row(name: str, draft: ConfigDraft, error: CellmapError | None) -> FormRow:
    takes, help_words = _RUN_WORDS[name]
    texts = draft.texts
    before = getattr(draft.base, name)
    default = "2026-06" if name == "score_profile" else "none"
    is_here = name in texts
    value = texts[name] if is_here else "none" if before is None else str(before)
    problem = ""
    if name == "config" and error is not None:
        problem = _words(error.message, error.remedy)
    elif is_here and name != "config":
        problem = _run_problem(draft, name)
    origin = HERE if is_here else "default" if value == default else "given"
    return FormRow(name, RUN_GROUP, value, origin, default, takes, help_words, problem)


def _run_problem(draft: ConfigDraft, name: str) -> str:
    from cellmap_tui.app.config_draft import run_value

    try:
        run_value(draft, name)
    except CellmapError as error:
        return _words(error.message, error.remedy)
    return ""


def _short(value: Any) -> tuple[str, ...]:
    """Return how people write texts and lists of names: without quotes."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return (", ".join(value),)
    return ("none",) if value is None else ()


def _words(message: str, remedy: str) -> str:
    return f"{message}; {remedy}" if remedy else message
