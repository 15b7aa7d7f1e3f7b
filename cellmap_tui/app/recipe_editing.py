"""Editing a recipe by keys: every change is checked, kept on disk at once, and can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.app.recipe_draft import RecipeDraft, file_changed, keep_draft, open_draft, save_draft
from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.edit_line import EditLine
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.errors import CellmapError
from cellmap_tui.services import recipe_edits as edits
from cellmap_tui.services.process_steps import STEPS
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.recipe_rows import ClassRow, StepRow
    from cellmap_tui.services.process_recipe import ClassRecipe, Recipe
    from cellmap_tui.services.process_steps import Step

FILE = "recipe.toml"
NEEDS_CLASSES = "exclude"


class EditOption(EditLine):
    """The line stands above, so that the preview below is seen while a value is typed."""

    DEFAULT_CSS = "EditOption { align: center top; background: transparent; }"


class RecipeEditing(RunScreen):
    """A screen with a recipe; a subclass shows it."""

    draft: RecipeDraft

    # What a subclass says and hears

    def class_in_hand(self) -> ClassRow | None:
        """Return the class under the cursor."""
        raise NotImplementedError

    def step_in_hand(self) -> StepRow | None:
        """Return the step or option under the cursor."""
        raise NotImplementedError

    def recipe_changed(self, key: tuple[int, str] | None = None) -> None:
        """Hear that the recipe is another one; `key` is the row that the cursor belongs on."""

    def try_out(self, recipe: Recipe) -> None:
        """Show what a recipe would do that is being typed."""

    # Changes

    def own_steps(self) -> ClassRecipe | None:
        """Return the steps of the class in hand."""
        row = self.class_in_hand()
        return None if row is None else edits.steps_of(self.draft.recipe, row.name, row.kind)

    def change_class(self, own: ClassRecipe | None, key: tuple[int, str] | None = None) -> None:
        """Give the class in hand other steps."""
        row = self.class_in_hand()
        if row is not None:
            self.take_recipe(edits.with_class(self.draft.recipe, row.name, own), key)

    def take_recipe(self, recipe: Recipe, key: tuple[int, str] | None = None) -> None:
        """Take another recipe; what there was can be brought back."""
        self.take_draft(self.draft.changed(recipe), key)

    def take_draft(self, draft: RecipeDraft, key: tuple[int, str] | None = None) -> None:
        """Take another draft and keep it on disk."""
        if draft is self.draft:
            return
        self.draft = draft
        try:
            keep_draft(draft, self.cellmap.settings.state_dir)
        except CellmapError as error:
            self.cellmap.notify_once(printable(str(error)), severity="warning")
        self.recipe_changed(key)

    def action_undo(self) -> None:
        """Take the last change back."""
        if self.draft.past:
            self.take_draft(self.draft.undone())
        else:
            self.notify("nothing to undo")

    def action_move_step(self, places: int) -> None:
        """Move the step further up or down."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is not None and row is not None and 0 <= row.at + places < len(own.steps):
            self.change_class(edits.moved(own, row.at, places), (row.at + places, row.option))

    def action_leave_out(self) -> None:
        """Leave the step out, or take the option back."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is None or row is None:
            return
        if row.option:
            self._set_option(own, row, None)
        else:
            self.change_class(edits.without_step(own, row.at), (max(0, row.at - 1), ""))

    def action_nudge(self, direction: Literal[1, -1]) -> None:
        """Take the next value of the option; on a step, of its first one."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is None or row is None:
            return
        name = row.option or next(iter(STEPS[row.step].options), "")
        if name:
            step = own.steps[row.at]
            self._set_option(own, row, edits.nudged(step, name, direction), name)

    def _set_option(self, own: ClassRecipe, row: StepRow, value: object, name: str = "") -> None:
        try:
            step = edits.with_option(own.steps[row.at], name or row.option, value)
        except CellmapError as error:
            self.notify(_words(error), severity="warning")
            return
        self.change_class(edits.with_other(own, row.at, step), row.key)

    def action_change(self) -> None:
        """Type a value of the option, take its next choice, or choose another kind of step."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is None or row is None:
            return
        if not row.option:
            self.action_kind()
        elif STEPS[row.step].options[row.option].choices:
            self.action_nudge(1)
        else:
            self._type_option(own, row)

    def _type_option(self, own: ClassRecipe, row: StepRow) -> None:
        option, step, hand = STEPS[row.step].options[row.option], own.steps[row.at], self.class_in_hand()
        assert hand is not None
        recipe = self.draft.recipe

        def changed(typed: str) -> ClassRecipe:
            other = edits.with_option(step, row.option, edits.read_option(option, typed))
            return edits.with_other(own, row.at, other)

        def problem(typed: str) -> str:
            try:
                other = changed(typed)
            except CellmapError as error:
                return _words(error)
            self.try_out(edits.with_class(recipe, hand.name, other))
            return ""

        def keep(typed: str | None) -> None:
            if typed is None:
                self.try_out(recipe)
            else:
                self.change_class(changed(typed), row.key)

        help_text = f"{row.step}: {option.words}. An empty line takes it back."
        value = edits.typed(step.options.get(row.option))
        self.app.push_screen(EditOption(row.option, help_text, value, problem), keep)

    def action_kind(self) -> None:
        """Choose another kind of step in place of this one."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is not None and row is not None:
            at = row.at

            def put(step: Step) -> None:
                self.change_class(edits.with_other(own, at, step), (at, ""))

            self._pick_step(own, at, put, row.step)

    def action_add_step(self) -> None:
        """Add a step after this one."""
        own, row = self.own_steps(), self.step_in_hand()
        if own is not None:
            at = 0 if row is None else row.at + 1

            def put(step: Step) -> None:
                self.change_class(edits.with_step(own, at, step), (at, ""))

            self._pick_step(own, at, put)

    def _pick_step(self, own: ClassRecipe, at: int, put: Callable[[Step], None], chosen: str = "") -> None:
        lines = {name: f"{name:13} {STEPS[name].words}" for name in edits.fitting(own, at)}

        def take(line: str | None) -> None:
            name = next((name for name, one in lines.items() if one == line), "")
            if name == NEEDS_CLASSES:
                self._ask_classes(put)
            elif name:
                put(edits.new_step(name))

        self.app.push_screen(Pick("step", list(lines.values()), lines.get(chosen, "")), take)

    def _ask_classes(self, put: Callable[[Step], None]) -> None:
        def take(typed: str | None) -> None:
            if typed:
                put(edits.new_step(NEEDS_CLASSES, typed.replace(",", " ").split()))

        question = "Voxels of these classes go, by their labels; they are processed first."
        self.app.push_screen(AskText("Exclude which classes?", question, "mito nuc"), take)

    def action_reset(self) -> None:
        """Ask, then go back to the built-in steps of the class."""
        from cellmap_tui.app.widgets.confirm import Confirm

        row = self.class_in_hand()
        if row is None or not row.is_own:
            self.notify("these are the built-in steps already")
            return
        question = Confirm(
            f"Go back to the built-in steps of {printable(row.name)}?",
            f"Leaves out: {printable(row.words)}. u brings them back.",
            yes="go back",
            no="keep them",
        )
        self.app.push_screen(question, lambda yes: self.change_class(None) if yes else None)

    # Files

    def open_recipe(self, path: Path | None) -> None:
        """Take the recipe of a file, with changes that were not saved.

        Raises
        ------
        CellmapError
            If it cannot be read.
        """
        self.draft = open_draft(path, self.cellmap.settings.state_dir)
        if self.draft.was_kept:
            self.notify("Goes on from changes that were not saved; u goes back to the file.", timeout=8)
        self.recipe_changed()

    def action_load(self) -> None:
        """Ask for a file and edit its recipe."""
        path = self.draft.path or Path(FILE).absolute()

        def take(answer: str | None) -> None:
            if not answer:
                return
            try:
                self.open_recipe(Path(answer).expanduser().absolute())
            except CellmapError as error:
                self.tell_error(error)

        question = "Changes of the recipe that is shown are kept, and are there when it is opened again."
        self.app.push_screen(AskText("Open recipe", question, FILE, value=str(path)), take)

    def action_save(self) -> None:
        """Ask where and write the file."""
        self.save_then(lambda _path: None)

    def save_then(self, then: Callable[[Path], None]) -> None:
        """Ask where, write the file, and go on."""
        path = self.draft.path or Path(FILE).absolute()
        question = "process takes it as RECIPE, tune as the one to start from."

        def take(answer: str | None) -> None:
            if answer:
                self._save_to(Path(answer).expanduser().absolute(), then)

        self.app.push_screen(AskText("Save the recipe to", question, FILE, value=str(path)), take)

    def _save_to(self, path: Path, then: Callable[[Path], None]) -> None:
        if not file_changed(self.draft, path):
            self._write(path, then)
            return
        from cellmap_tui.app.widgets.confirm import Confirm

        cost = f"There is such a file in {printable(str(path.parent))}, and it is not what was opened here."
        question = Confirm(f"Replace {printable(path.name)}?", cost, yes="replace it", no="leave it")
        self.app.push_screen(question, lambda yes: self._write(path, then) if yes else None)

    def _write(self, path: Path, then: Callable[[Path], None]) -> None:
        try:
            self.draft = save_draft(self.draft, path, self.cellmap.settings.state_dir)
        except CellmapError as error:
            self.tell_error(error)
            return
        self.recipe_changed()
        words = f"saved to {printable(str(path))}"
        if self.draft.backup is not None:
            words += f"; its comments could not be kept: {printable(self.draft.backup.name)} has the file as it was"
        self.notify(words)
        then(path)


def _words(error: CellmapError) -> str:
    told = error.message.removeprefix("this step, ").removeprefix("this step: ")
    return ": ".join(filter(None, (told, error.remedy)))
