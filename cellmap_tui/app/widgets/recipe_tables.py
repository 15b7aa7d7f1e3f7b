"""The two lists of the recipe editor: classes, and the steps of one with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cellmap_tui.app.keys import bind
from cellmap_tui.app.recipe_rows import ClassRow, StepRow, class_columns, step_columns
from cellmap_tui.app.widgets.table import VirtualTable

if TYPE_CHECKING:
    from textual.binding import BindingType

NO_CLASSES = "Nothing is predicted yet below the data root. 6 predicts; i names another folder of predictions."
NO_STEPS = "No steps: n adds one, u takes the last change back."


class ClassTable(VirtualTable[ClassRow]):
    """The classes of a recipe; ``enter`` goes to the steps."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.open", "screen.go_to_steps", "steps", help="Go to the steps of this class."),
        bind("recipe.reset", "screen.reset"),
    ]

    def __init__(self) -> None:
        super().__init__(class_columns(), row_key=lambda row: row.name, markable=False, empty=NO_CLASSES)


class StepTable(VirtualTable[StepRow]):
    """The steps of a class; every one can be changed, moved, and left out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind(
            "do.open", "screen.change", "change", help="Type a value of the option, or choose another kind of step."
        ),
        bind("recipe.more", "screen.nudge(1)"),
        bind("recipe.add", "screen.add_step"),
        bind("do.stop", "screen.leave_out", "leave out", help="Leave the step out, or take the option back."),
        bind("recipe.move_up", "screen.move_step(-1)", show=False),
        bind("do.undo", "screen.undo", show=False),
        bind("recipe.less", "screen.nudge(-1)", show=False),
        bind("recipe.move_down", "screen.move_step(1)", show=False),
        bind("recipe.kind", "screen.kind", show=False),
        bind("recipe.reset", "screen.reset", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(step_columns(), row_key=lambda row: row.key, markable=False, empty=NO_STEPS)
