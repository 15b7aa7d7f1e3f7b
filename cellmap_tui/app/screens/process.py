"""Process: the steps that turn the prediction of a class into labels, with what they do to a slice beside them.

Nothing that is typed is lost: every change is kept on disk. Processing itself is a job of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.process_form import ProcessForm, TuneForm
from cellmap_tui.app.process_jobs import ProcessJobs
from cellmap_tui.app.recipe_draft import RecipeDraft
from cellmap_tui.app.recipe_previews import Previews, Shown
from cellmap_tui.app.recipe_rows import class_rows, step_rows
from cellmap_tui.app.screens.fill_in import FillIn
from cellmap_tui.app.screens.sub import SubScreen
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.error_view import describe
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.app.widgets.recipe_preview import AXES, RecipePreview
from cellmap_tui.app.widgets.recipe_tables import NO_CLASSES, ClassTable, StepTable
from cellmap_tui.app.widgets.table_messages import RowHighlighted
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.process_model import PreviewRequest, ProcessRequest
from cellmap_tui.services.process_recipe import Recipe, recipe_text
from cellmap_tui.services.recipe_edits import DEFAULTS, problem_of, steps_of, with_class
from cellmap_tui.services.tune_model import TuneRequest
from cellmap_tui.text import counted, cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.events import Resize

    from cellmap_tui.app.recipe_rows import ClassRow, StepRow
    from cellmap_tui.app.typed_form import TypedForm
    from cellmap_tui.services.predicted_crops import PredictedCrop
    from cellmap_tui.services.process_recipe import Kind


class ProcessScreen(SubScreen, ProcessJobs):
    """The recipe editor.

    Parameters
    ----------
    request
        What a command line asked for: crops and recipe of `process`, or a `TuneRequest`, whose page is opened.
    """

    MODE = "predict"
    AUTO_FOCUS = "StepTable"
    CSS_PATH = "process.tcss"
    FAILURES: ClassVar[Mapping[str, str]] = {"recipe.find": "#classes", "recipe.draw": "#preview"}
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("predict.process", "process", help="Process crops by this recipe, as a job; the plan is shown first."),
        bind("do.save", "save", help="Write the recipe into a file."),
        bind("process.tune", "tune"),
        bind("do.undo", "undo", show=False),
        bind("recipe.crop", "crop", show=False),
        bind("do.view", "view", help="View slices of the crop with the labels that were made."),
        bind("recipe.load", "load", show=False),
        bind("predict.options", "options", show=False, help="Choose crops, classes, and where predictions lie."),
        bind("do.stop", "stop", show=False),
        bind("do.pause", "pause", show=False),
        bind("do.reload", "resume", "go on", show=False, help="Go on with processing that was stopped."),
        bind("do.log", "full_log", show=False),
    ]

    class Found(Message):
        """It is known what is predicted."""

        def __init__(self, crops: tuple[PredictedCrop, ...], kinds: dict[str, Kind]) -> None:
            self.crops = crops
            self.kinds = kinds
            super().__init__()

    class Answered(Message):
        """A preview is there."""

        def __init__(self, shown: Shown) -> None:
            self.shown = shown
            super().__init__()

    def __init__(self, request: object = None) -> None:
        super().__init__()
        self.draft = RecipeDraft()
        self._asked = request
        given = request if isinstance(request, ProcessRequest) else None
        self.form = ProcessForm() if given is None else ProcessForm.of_request(given)
        self._crops: tuple[PredictedCrop, ...] = ()
        self._kinds: dict[str, Kind] = {}
        self._is_found = False
        self._crop = ""
        self._axis = "z"
        self._index: int | None = None
        self._previews = Previews()
        self._shown: Shown | None = None
        self._run_id = ""

    def compose_body(self) -> ComposeResult:
        """Yield classes, steps, and the preview."""
        with Container(id="lines"):
            yield Static(markup=False, id="job")
            yield Static(markup=False, id="say")
        with Container(id="recipe"):
            with Pane(id="classes") as pane:
                pane.set_title("classes")
                yield ClassTable()
            with Pane(id="steps") as pane:
                pane.set_title("steps")
                yield StepTable()
        with Pane(id="preview") as pane:
            pane.set_title("preview")
            yield RecipePreview()

    def on_mount(self) -> None:
        """Open the recipe, look for predictions, and follow the job."""
        recipe = self._asked.recipe if isinstance(self._asked, ProcessRequest | TuneRequest) else None
        self.view.say("looking for predictions…")
        try:
            self.open_recipe(None if recipe is not None and recipe.suffix == ".py" else recipe)
        except CellmapError as error:
            self.open_recipe(None)
            self.tell_error(error)
        self._find()
        self.watch(self.app, "runs", self.see_runs, init=True)
        if isinstance(self._asked, TuneRequest):
            form = TuneForm.of_request(self._asked)
            self.call_after_refresh(self.open_tuning, form, asks=True)
        elif self._asked is not None and recipe is not None and recipe.suffix == ".py":
            self.notify(f"{recipe.name} is code: P runs its process_func; the steps here are not used.", timeout=8)

    @property
    def view(self) -> RecipePreview:
        """The preview."""
        return self.query_one(RecipePreview)

    def class_in_hand(self) -> ClassRow | None:
        """Return the class under the cursor."""
        return self.query_one(ClassTable).highlighted

    def step_in_hand(self) -> StepRow | None:
        """Return the step or option under the cursor."""
        return self.query_one(StepTable).highlighted

    def crop_in_hand(self) -> str:
        """Return the crop of the preview."""
        return self._place()[1]

    # What is predicted

    @work(thread=True, exclusive=True, group="recipe.find", exit_on_error=False)
    def _find(self) -> None:
        from cellmap_tui.services.predicted_crops import kinds_of, predicted_crops

        worker = get_current_worker()
        crops = predicted_crops(self.form.request(self.cellmap.settings), lambda: worker.is_cancelled)
        names = {name for crop in crops for name in (*crop.classes, *crop.groups)} | set(self.draft.recipe.classes)
        kinds = kinds_of(names)
        if not worker.is_cancelled:
            self.post_message(self.Found(crops, kinds))

    @on(Found)
    def _take_found(self, event: Found) -> None:
        is_first, self._is_found = not self._is_found, True
        self._crops, self._kinds = event.crops, event.kinds
        if not any(crop.ref == self._crop for crop in self._crops):
            self._crop, self._index = "", None
        self.recipe_changed()
        if is_first:
            self._begin()

    def _begin(self) -> None:
        """Put the cursor on a class that the recipe is about, else on one whose objects are told apart."""
        rows = class_rows(self.draft.recipe, self._crops, self._kinds)
        best = max(rows, key=lambda row: (row.is_own, row.crops > 0, row.kind == "instance", row.crops), default=None)
        if best is not None:
            self.query_one(ClassTable).go_to(best.name)

    @on(Pane.RetryAsked, "#classes")
    def _find_again(self) -> None:
        self._find()

    # What is shown

    def recipe_changed(self, key: tuple[int, str] | None = None) -> None:
        """Show the recipe, and what it does."""
        table = self.query_one(ClassTable)
        table.update_rows(class_rows(self.draft.recipe, self._crops, self._kinds))
        self._title()
        self._show_steps(key)

    def _title(self) -> None:
        draft = self.draft
        file = "no file" if draft.path is None else draft.path.name
        state = "" if draft.is_saved else ", not saved: w saves"
        crops = counted(len(self._crops), "crop")
        if self.has_class("-narrow"):
            # Panes have no lower edge there: the file is above the steps.
            self.query_one("#classes", Pane).set_title(f"classes  {crops}" if self._is_found else "classes")
        else:
            words = f"classes  {crops} predicted" if self._is_found else "classes"
            self.query_one("#classes", Pane).set_title(words, f"{printable(file)}{state}")

    @on(RowHighlighted, "ClassTable")
    def _other_class(self) -> None:
        self.query_one(StepTable).cursor = 0
        self._show_steps()

    def _show_steps(self, key: tuple[int, str] | None = None) -> None:
        row, own = self.class_in_hand(), self.own_steps()
        if row is None or own is None:
            return
        self._fill_steps(key)
        whose = "steps of its own" if row.is_own else "built-in steps"
        if self.has_class("-narrow"):
            whose = "own" if row.is_own else "built-in"
            file = "no file" if self.draft.path is None else self.draft.path.name
            whose += f"   {cut_middle(file, 20)}" + ("" if self.draft.is_saved else ", not saved")
        self.query_one("#steps", Pane).set_title(f"{printable(row.name)}: {whose}")
        self._say()
        self._ask_preview(self.draft.recipe)

    def _fill_steps(self, key: tuple[int, str] | None = None) -> None:
        row, own = self.class_in_hand(), self.own_steps()
        if row is None or own is None:
            return
        shown = self._shown
        label, _ = self._place()
        told = shown.preview.steps if shown and shown.preview and shown.request.label == label else ()
        table = self.query_one(StepTable)
        table.update_rows(step_rows(own, told, problem_of(self.draft.recipe, row.name)))
        if key is not None:
            table.go_to(key)

    @on(RowHighlighted, "StepTable")
    def _say(self) -> None:
        """Say what the row under the cursor does, or what is wrong."""
        row, hand = self.step_in_hand(), self.class_in_hand()
        problem = problem_of(self.draft.recipe, hand.name)[1] if hand is not None else ""
        words = Content("") if row is None else Content(f"{row.option or row.step}: {row.help}")
        if problem:
            words = Content.assemble((f"{sign('error')} ", "bold $text-error"), (printable(problem), "$text-error"))
        line = self.query_one("#say", Static)
        if line.content != words:
            line.update(words)

    # Preview

    def try_out(self, recipe: Recipe) -> None:
        """Show what a recipe would do that is being typed."""
        self._ask_preview(recipe)

    def _place(self) -> tuple[str, str]:
        """Return class and crop of the preview: the crop in hand if it has the class, else the first that has."""
        row = self.class_in_hand()
        if row is None:
            return "", ""
        labels = [row.name]
        if row.name in DEFAULTS:
            rows = class_rows(self.draft.recipe, self._crops, self._kinds)
            labels = [one.name for one in rows if one.kind == row.kind and not one.is_own and one.crops]
        for label in labels:
            source = steps_of(self.draft.recipe, label, row.kind).source or label
            having = [crop.ref for crop in self._crops if {label, source} & {*crop.classes, *crop.groups}]
            if having:
                return label, self._crop if self._crop in having else having[0]
        return labels[0] if labels else "", ""

    def _ask_preview(self, recipe: Recipe) -> None:
        row, (label, crop) = self.class_in_hand(), self._place()
        if row is None or not self._is_found:
            return
        if not crop:
            self.view.say(NO_CLASSES if not self._crops else f"no crop has a prediction of {printable(row.name)}")
            self.query_one("#preview", Pane).set_title("preview")
            return
        if problem_of(recipe, row.name)[1]:
            if self.view.preview is None:
                self.view.say("nothing can be shown before the steps are right: the line below says what is wrong")
            return
        if crop != self._crop:
            self._crop, self._index = crop, None
        part = with_class(Recipe(), label, steps_of(recipe, row.name, row.kind))
        request = self.form.request(self.cellmap.settings)
        wish = PreviewRequest(
            crop,
            label,
            recipe_text(part),
            self._axis,  # type: ignore[arg-type]
            self._index,
            predictions=request.predictions,
            data_root=request.data_root,
            state_dir=request.state_dir,
            manifest=request.manifest,
            train_manifest=request.train_manifest,
            test_manifest=request.test_manifest,
        )
        if self._previews.wish(wish):
            self._preview()

    @work(thread=True, group="recipe.preview", exit_on_error=False)
    def _preview(self) -> None:
        worker = get_current_worker()
        self._previews.work(lambda shown: self.post_message(self.Answered(shown)), lambda: worker.is_cancelled)

    @on(Answered)
    def _show_preview(self, event: Answered) -> None:
        shown = event.shown
        if (shown.request.label, shown.request.crop) != self._place():
            return
        self._shown = shown
        pane = self.query_one("#preview", Pane)
        if shown.preview is None:
            message, remedy = describe(shown.error or CellmapError("no preview"))
            self.view.say(f"{sign('error')} {message}\n{remedy}")
            pane.set_title(f"{printable(shown.request.label)}  {printable(shown.request.crop)}")
        else:
            if self._index is None and shown.request.axis == self._axis:
                self._index = shown.preview.index
            self.view.show(shown.preview, shown.voxel_nm, shown.em)
            self._name_pictures()
        self._fill_steps()

    @on(RecipePreview.Moved)
    def _step(self, event: RecipePreview.Moved) -> None:
        shown = self._shown
        if shown is not None and shown.preview is not None and self._index is not None:
            self._index = max(0, min(shown.preview.size - 1, self._index + event.slices))
            self._ask_preview(self.draft.recipe)

    @on(RecipePreview.LookChanged)
    def _name_pictures(self) -> None:
        if self._shown is not None and self._shown.preview is not None:
            words = _place_words(self._shown, self.view.words, is_narrow=self.has_class("-narrow"))
            self.query_one("#preview", Pane).set_title(*words)

    def on_resize(self, event: Resize) -> None:
        """Say in other words what there is less room for."""
        if self.query("#steps"):
            self.call_after_refresh(self.recipe_changed)
            self.call_after_refresh(self._name_pictures)

    @on(RecipePreview.AxisAsked)
    def _turn(self) -> None:
        self._axis, self._index = AXES[(AXES.index(self._axis) + 1) % 3], None
        self._ask_preview(self.draft.recipe)

    def action_crop(self) -> None:
        """Choose another crop to look at."""
        label, crop = self._place()
        refs = [one.ref for one in self._crops if label in (*one.classes, *one.groups)]

        def take(ref: str | None) -> None:
            if ref is not None:
                self._crop, self._index = ref, None
                self._ask_preview(self.draft.recipe)

        if refs:
            self.app.push_screen(Pick(f"crops with a prediction of {label}", refs, crop), take)

    def action_go_to_steps(self) -> None:
        """Go to the steps of the class."""
        self.query_one(StepTable).focus()

    # Crops and folders

    def action_options(self) -> None:
        """Choose crops, classes, and where predictions lie."""

        def take(form: TypedForm | None) -> None:
            if isinstance(form, ProcessForm):
                self.form = form
                self._find()

        self.app.push_screen(FillIn("process", self.form, "takes them"), take)


def _place_words(shown: Shown, pictures: str, *, is_narrow: bool) -> tuple[str, str]:
    preview = shown.preview
    assert preview is not None
    if is_narrow:
        around = "" if preview.is_whole else "…" if shown.is_quick else " slab"
        crop = printable(shown.request.crop.rpartition("/")[2])
        where = f"{preview.axis} {preview.index} / {preview.size}{around}"
        return f"{printable(shown.request.label)} {crop}  {where}  {pictures}", ""
    title = f"{printable(shown.request.label)}  {printable(shown.request.crop)}   {pictures}"
    around = "whole crop" if preview.is_whole else "near the slice…" if shown.is_quick else "slab around the slice"
    return title, f"{preview.axis} {preview.index} of {preview.size}  {preview.position_nm:.0f} nm  {around}"
