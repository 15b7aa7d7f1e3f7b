"""What the recipe editor starts: processing and tuning as jobs, and slices of what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.predict_start import PROCESS
from cellmap_tui.app.process_form import ProcessForm, TuneForm
from cellmap_tui.app.recipe_editing import RecipeEditing
from cellmap_tui.app.run_actions import RESUMABLE
from cellmap_tui.app.run_words import amount_words, eta_words, progress_words, state_words
from cellmap_tui.app.trusting import AskTrust
from cellmap_tui.services.process_recipe import Recipe, recipe_text
from cellmap_tui.services.recipe_edits import problem_of
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.app.widgets.slice_state import Kind
    from cellmap_tui.jobs.summary import RunSummary
KINDS: tuple[Kind, ...] = ("processed", "predictions")
"""What is drawn over the EM: labels where there are some, else what they would be made of."""


class ProcessJobs(RecipeEditing, AskTrust):
    """A recipe editor that starts jobs."""

    form: ProcessForm
    _run_id: str = ""

    class LabelsFound(Message):
        """Slices with labels can be looked at."""

        def __init__(self, source: CropSlices) -> None:
            self.source = source
            super().__init__()

    def crop_in_hand(self) -> str:
        """Return the crop of the preview, as ``dataset/crop``; empty where there is none."""
        raise NotImplementedError

    # Jobs

    def chosen_run(self) -> RunSummary | None:
        """Return the job that is followed: the one started here, else one that goes on."""
        runs = [run for run in self.cellmap.runs if run.command == PROCESS]
        return next((run for run in runs if run.run_id == self._run_id or (not self._run_id and run.is_live)), None)

    def see_runs(self) -> None:
        """Show the job in a line."""
        run = self.chosen_run()
        line = self.query_one("#job", Static)
        line.display = run is not None
        if run is not None:
            self._run_id = run.run_id
            words = "  ".join((state_words(run), PROCESS, amount_words(run), progress_words(run)))
            words += f"  {eta_words(run)}" if run.is_live else f"  {run.message or ''}"
            if run.state in RESUMABLE:
                # First, so that a long message does not push it out of the line.
                words = f"{state_words(run)}  {PROCESS}  r goes on  {progress_words(run)}  {run.message or ''}"
            content = Content(printable(words))
            if line.content != content:
                line.update(content)
        self.refresh_bindings()

    def action_process(self) -> None:
        """Choose the crops, show the plan, and start the job."""
        own_code = self.form.base.recipe if self.form.base is not None else None
        if own_code is not None and own_code.suffix == ".py":
            self.if_allowed(own_code, lambda: self._fill_in(own_code))
        elif not recipe_text(self.draft.recipe).strip():
            self._fill_in(None)
        elif problem := problem_of(self.draft.recipe)[1]:
            self.notify(printable(problem), severity="warning")
        elif self.draft.is_saved and self.draft.path is not None:
            self._fill_in(self.draft.path)
        else:
            self.save_then(self._fill_in)

    def _fill_in(self, recipe: Path | None) -> None:
        from cellmap_tui.app.screens.fill_in import FillIn
        from cellmap_tui.app.screens.start import StartWork

        def started(run_id: str | None) -> None:
            if run_id:
                self._run_id = run_id
                self.see_runs()

        def take(form: TypedForm | None) -> None:
            if isinstance(form, ProcessForm):
                self.form = form
                request = replace(form.request(self.cellmap.settings), recipe=recipe)
                self.app.push_screen(StartWork(PROCESS, request), started)

        self.app.push_screen(FillIn("process", self.form, "shows the plan"), take)

    def action_tune(self) -> None:
        """Open the tuner's page, its form as it was filled in last."""
        form, last = self._tune_form(), self.cellmap.tuning_forms
        self.open_tuning(form if last is None else form.filled_in_as(*last))

    def _tune_form(self) -> TuneForm:
        """Return what the editor says of a tuning."""
        start = self.draft.path if self.draft.is_saved else None
        return TuneForm(predictions=self.form.predictions, classes=self.form.classes, start=start)

    def open_tuning(self, form: TuneForm, *, asks: bool = False) -> None:
        """Open the tuner's page, and take over what is chosen there."""
        from cellmap_tui.app.screens.tune import TuneScreen

        def take(tuned: Recipe | None) -> None:
            if tuned is not None:
                classes = {**self.draft.recipe.classes, **tuned.classes}
                self.take_recipe(replace(self.draft.recipe, classes=classes))
                self.notify(f"{', '.join(tuned.classes)} as tuned; u takes it back")

        self.app.push_screen(TuneScreen(form, asks=asks, given=self._tune_form()), take)

    # Labels

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "view":
            return bool(self.is_mounted and self.crop_in_hand())
        return super().check_action(action, parameters)

    def action_view(self) -> None:
        """View slices of the crop with its labels; with its predictions while there are none."""
        if ref := self.crop_in_hand():
            self._find_labels(ref)

    @work(thread=True, exclusive=True, group="recipe.view", exit_on_error=False)
    def _find_labels(self, ref: str) -> None:
        from cellmap_tui.app.predict_slices import slices_of

        source = slices_of(self.cellmap.settings, ref, self._places())
        if not get_current_worker().is_cancelled:
            self.post_message(self.LabelsFound(source))

    def _places(self) -> dict[str, str]:
        """Return where labels and predictions lie, where the form says it."""
        request = self.form.request(self.cellmap.settings)
        named = {"processed": request.output, "predictions": request.predictions}
        return {kind: place for kind, place in named.items() if place}

    @on(LabelsFound)
    def _show_labels(self, event: LabelsFound) -> None:
        from cellmap_tui.app.screens.slice import open_slices

        row = self.class_in_hand()
        shown = next((kind for kind in KINDS if kind in event.source.kinds), None)
        open_slices(self, event.source, only_class=row.name if row is not None else None, kind=shown)
