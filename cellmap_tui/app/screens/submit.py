"""Submit: which of the required volumes are there, packing them, and what became of each submission."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on, work
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerState, get_current_worker

from cellmap_tui.app.keys import bind
from cellmap_tui.app.screens.base import BaseScreen
from cellmap_tui.app.submit_words import (
    LEGEND,
    LOG_COLUMNS,
    cell_words,
    diff_words,
    log_words,
    option_lines,
    state_counts,
    summary,
)
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.coverage_matrix import CoverageMatrix
from cellmap_tui.app.widgets.heat_map import HeatMap
from cellmap_tui.app.widgets.pane import Pane
from cellmap_tui.app.widgets.pick import Pick
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.pack_model import Cell, Coverage, PackRequest
from cellmap_tui.services.submission_log_model import Submission
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from cellmap_tui.app.crop_slices import CropSlices
    from cellmap_tui.services.settings import Settings

ZIP = "submission.zip"
PREDICTIONS, OUTPUT, GAPS, MANIFEST = "predictions", "zip", "gaps", "test manifest"
_WATCHED = frozenset({"pack-results", "validate-submission", "evaluate", "predict", "process"})


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What is packed, where to, and what becomes of gaps."""

    predictions: str = ""
    """Folder, template or zip; empty: what `process` writes."""
    output: str = ""
    """The zip; empty: below the data root."""
    fill: Literal["zeros", "none"] = "zeros"
    """What becomes of volumes that were not predicted."""
    test_manifest: str = ""
    """Test volumes in place of the published ones."""
    truth: str = ""
    """Truth of the test crops where it is known."""

    def request(self, settings: Settings) -> PackRequest:
        """Return what packing is asked."""
        return PackRequest(
            input=str(Path(self.predictions).expanduser().absolute()) if self.predictions else None,
            output=self.zip_path(settings),
            overwrite=self.zip_path(settings).exists(),
            fill_missing=self.fill,
            data_root=settings.data_root.absolute(),
            state_dir=settings.state_dir.absolute(),
            test_manifest=self.test_manifest or None,
        )

    def zip_path(self, settings: Settings) -> Path:
        """Return where the zip goes."""
        path = Path(self.output).expanduser() if self.output else settings.data_root / ZIP
        return path.absolute()

    def rows(self, settings: Settings) -> tuple[tuple[str, str], ...]:
        """Return the options in words."""
        return (
            (PREDICTIONS, self.predictions or f"{settings.data_root / 'processed'} (what process writes)"),
            (OUTPUT, str(self.zip_path(settings))),
            (GAPS, "become zeros: an empty volume costs less" if self.fill == "zeros" else "are left out"),
            (MANIFEST, self.test_manifest or "the published one"),
        )


def first_options(settings: Settings) -> SubmitOptions:
    """Return the options to begin with; a demo knows its own test crops, truth and stand-in for predictions."""
    from cellmap_tui.services.demo_root import demo_of

    demo = demo_of(settings.data_root)
    if demo is None:
        return SubmitOptions()
    processed = (settings.data_root / "processed").exists()
    stand_in = str(demo.stand_in / "{dataset}.zarr" / "{crop}" / "{label}")
    return SubmitOptions(
        predictions="" if processed or not demo.stand_in.exists() else stand_in,
        test_manifest=str(demo.test_manifest),
        truth=str(demo.truth),
    )


class SubmissionTable(VirtualTable[Submission]):
    """The log of submissions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("submit.upload", "screen.upload"),
        bind("submit.returned", "screen.returned"),
        bind("submit.diff", "screen.diff"),
    ]

    def __init__(self) -> None:
        super().__init__(
            LOG_COLUMNS,
            row_key=lambda row: row.id,
            markable=False,
            empty="Nothing was packed yet: n packs what is there.",
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to open in a line."""
        return False if action == "select" else super().check_action(action, parameters)


class SubmitScreen(BaseScreen):
    """The matrix of required volumes, and the log of what was packed and handed in."""

    MODE = "submit"
    AUTO_FOCUS = "CoverageMatrix"
    CSS_PATH = "submit.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("do.new", "pack", "pack", help="Pack the zip, as a job; shows the plan first."),
        bind("submit.options", "options"),
        bind("submit.validate", "validate"),
        bind("submit.score", "score"),
        bind("submit.turn", "turn"),
        bind("do.reload", "reload", show=False, help="Look at the predictions and the log again."),
        bind("do.close", "close", show=False),
    ]

    class Looked(Message):
        """The predictions were looked at."""

        def __init__(self, coverage: Coverage) -> None:
            self.coverage = coverage
            super().__init__()

    class SlicesFound(Message):
        """A crop can be looked at."""

        def __init__(self, slices: CropSlices, label: str) -> None:
            self.slices = slices
            self.label = label
            super().__init__()

    class Read(Message):
        """The log was read."""

        def __init__(self, submissions: tuple[Submission, ...]) -> None:
            self.submissions = submissions
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._options: SubmitOptions | None = None
        self._coverage: Coverage | None = None
        self._submissions: tuple[Submission, ...] = ()
        self._seen: tuple[tuple[str, str], ...] | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the panes."""
        with Pane(id="volumes") as pane:
            pane.set_title("volumes", "looking…")
            yield CoverageMatrix()
            yield Static(id="volume", markup=False)
        with Pane(id="log") as pane:
            pane.set_title("submissions")
            yield SubmissionTable()
            yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        """Look at the predictions, again when a job that changes them ends."""
        self.watch(self.app, "settings", self._begin, init=False)
        self.watch(self.app, "runs", self._follow_runs, init=False)
        self._begin()

    def opened(self, options: Mapping[str, object]) -> None:
        """Offer to start a packing that was asked for on the command line."""
        if "request" in options:
            self._start("pack-results", options["request"])

    def _begin(self) -> None:
        self._options = None
        self.action_reload()

    @property
    def options(self) -> SubmitOptions:
        """What is packed; found when it is first needed."""
        if self._options is None:
            self._options = first_options(self.cellmap.settings)
        return self._options

    # Looking

    @on(Pane.RetryAsked)
    def action_reload(self) -> None:
        """Look at the predictions and at the log."""
        self.query_one("#volumes", Pane).clear_error()
        self._look(self.options.request(self.cellmap.settings))
        self._read_log(self.cellmap.settings.state_dir)

    def _follow_runs(self) -> None:
        ended = tuple((run.run_id, run.state) for run in self.cellmap.runs if run.command in _WATCHED)
        if self._seen is not None and ended != self._seen and not any(state == "running" for _, state in ended):
            self.action_reload()
        self._seen = ended

    @work(thread=True, exclusive=True, group="submit.look", exit_on_error=False)
    def _look(self, request: PackRequest) -> None:
        from cellmap_tui.services.pack_coverage import coverage

        found = coverage(request)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Looked(found))

    @work(thread=True, exclusive=True, group="submit.log", exit_on_error=False)
    def _read_log(self, state_dir: Path) -> None:
        from cellmap_tui.services.submissions import list_submissions

        found = list_submissions(state_dir)
        if not get_current_worker().is_cancelled:
            self.post_message(self.Read(found))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show in the pane why there is nothing to show."""
        panes = {"submit.look": "#volumes", "submit.log": "#log"}
        if event.state is WorkerState.ERROR and event.worker.error and event.worker.group in panes:
            self.query_one(panes[event.worker.group], Pane).show_error(event.worker.error)
            event.prevent_default()

    @on(Looked)
    def _take_coverage(self, event: Looked) -> None:
        self._coverage = event.coverage
        self.query_one(CoverageMatrix).show(state_counts(event.coverage))
        pane = self.query_one("#volumes", Pane)
        pane.set_title(f"volumes  {summary(event.coverage, self.options.fill)}", LEGEND)

    @on(Read)
    def _take_log(self, event: Read) -> None:
        self._submissions = event.submissions
        self.query_one(SubmissionTable).update_rows(event.submissions)
        self.query_one("#log", Pane).set_title("submissions", f"{len(event.submissions)} packed")
        self._tell_submission()

    # What is under the cursor

    def _cell(self) -> tuple[str, str, Cell | None]:
        matrix, coverage = self.query_one(CoverageMatrix), self._coverage
        if coverage is None or not coverage.cells:
            return "", "", None
        crop, label = coverage.crops[matrix.column], coverage.classes[matrix.row]
        return crop, label, coverage.by_pair().get((crop, label))

    @on(HeatMap.CellHighlighted)
    def _tell_cell(self) -> None:
        crop, label, cell = self._cell()
        if crop:
            self.query_one("#volume", Static).update(cell_words(crop, label, cell))

    @on(VirtualTable.RowHighlighted)
    def _tell_submission(self) -> None:
        from cellmap_tui.services.submissions import limits_words, uploads_per_day

        row = self.query_one(SubmissionTable).highlighted
        words = log_words(row, uploads_per_day(self._submissions), limits_words())
        self.query_one("#about", Static).update(words)

    @on(HeatMap.CellOpened)
    def _fill_gap(self) -> None:
        _, _, cell = self._cell()
        if cell is None or cell.fix.step == "none":
            self.notify("nothing has to be done here")
            return
        if cell.fix.step == "fetch-data":
            self.cellmap.open_mode("fetch", {"crops": (f"{cell.dataset}/{cell.crop}",)})
        elif cell.fix.step == "pack-results":
            self.action_pack()
        elif cell.fix.step in self.app.MODES:
            self.cellmap.open_mode(cell.fix.step, {"crops": f"{cell.dataset}/{cell.crop}"})
        else:
            self.app.copy_to_clipboard(f"cellmap-tui {cell.fix.command}")
            self.notify(printable(f"copied: cellmap-tui {cell.fix.command}"), title=cell.fix.words)

    def action_view(self) -> None:
        """View a slice of the prediction under the cursor, where the crop's EM is on disk."""
        crop, label, cell = self._cell()
        if cell is not None:
            self._find_slices(f"{cell.dataset}/{crop}", label)

    @work(thread=True, exclusive=True, group="submit.view", exit_on_error=False)
    def _find_slices(self, ref: str, label: str) -> None:
        from cellmap_tui.app.crop_slices import CropSlices
        from cellmap_tui.challenge.layout import is_local
        from cellmap_tui.errors import MissingDataError
        from cellmap_tui.services.catalog import CatalogSource, open_catalog
        from cellmap_tui.services.predicted_folder import PredictedFolder

        settings, options = self.cellmap.settings, self.options
        manifest = options.test_manifest or None
        source = CatalogSource(settings.data_root, settings.state_dir, test_manifest=manifest)
        catalog = open_catalog(source)
        crop = catalog.find(ref)
        if not is_local(settings.data_root, crop):
            raise MissingDataError(f"the EM of {ref} is not on this disk", "⏎ on a gap fetches it")
        given = None
        if options.predictions:
            given = {"processed": PredictedFolder(options.predictions, crop, settings.data_root)}
        slices = CropSlices(settings.data_root, crop, catalog, given, key=options.predictions)
        if not get_current_worker().is_cancelled:
            self.post_message(self.SlicesFound(slices, label))

    @on(SlicesFound)
    def _show_slices(self, event: SlicesFound) -> None:
        from cellmap_tui.app.screens.slice import open_slices

        open_slices(self, event.slices, only_class=event.label)

    # Work

    def action_pack(self) -> None:
        """Show what packing would do, and start it."""
        self._start("pack-results", self.options.request(self.cellmap.settings))

    def action_validate(self) -> None:
        """Check the zip."""
        from cellmap_tui.services.validate_model import ValidateRequest

        path = self._zip()
        if path is not None:
            settings = self.cellmap.settings
            manifest = self.options.test_manifest or None
            request = ValidateRequest(path, state_dir=settings.state_dir.absolute(), test_manifest=manifest)
            self._start("validate-submission", request)

    def action_score(self) -> None:
        """Fill in an evaluation of the zip."""
        from cellmap_tui.app.eval_form import EvalForm
        from cellmap_tui.app.screens.eval_new import NewEvaluation

        path = self._zip()
        if path is None:
            return
        form = EvalForm(submission=str(path), truth=self.options.truth, test_manifest=self.options.test_manifest)
        self.app.push_screen(
            NewEvaluation(self.cellmap.settings, form),
            lambda request: self._start("evaluate", request) if request is not None else None,
        )

    def _zip(self) -> Path | None:
        row = self.query_one(SubmissionTable).highlighted if self.has_class("-log") else None
        path = row.path if row is not None else self.options.zip_path(self.cellmap.settings)
        if path.exists():
            return path
        self.notify(printable(f"{path} does not exist: n packs it"), severity="warning")
        return None

    def _start(self, command: str, request: object) -> None:
        from cellmap_tui.app.screens.start import StartWork

        def started(run_id: str | None) -> None:
            if run_id:
                self.notify(printable(f"{command} has begun: 8 shows how far it is"))

        self.app.push_screen(StartWork(command, request), started)

    # Options

    def action_options(self) -> None:
        """Change what is packed."""
        rows = self.options.rows(self.cellmap.settings)
        lines = option_lines(rows)

        def take(line: str | None) -> None:
            if line is not None:
                self._change(rows[lines.index(line)][0])

        self.app.push_screen(Pick("what is packed", lines), take)

    def _change(self, name: str) -> None:
        if name == GAPS:
            self._set(replace(self.options, fill="none" if self.options.fill == "zeros" else "zeros"))
            return
        fields: dict[str, tuple[str, str, Callable[[str], SubmitOptions]]] = {
            PREDICTIONS: (
                "A folder, a template with {dataset} {crop} {label}, or a zip.",
                self.options.predictions,
                lambda text: replace(self.options, predictions=text),
            ),
            OUTPUT: ("The zip to write.", self.options.output, lambda text: replace(self.options, output=text)),
            MANIFEST: (
                "Test volumes: a CSV or its address.",
                self.options.test_manifest,
                lambda text: replace(self.options, test_manifest=text),
            ),
        }
        question, value, change = fields[name]

        def take(answer: str | None) -> None:
            if answer is not None:
                self._set(change(answer))

        self.app.push_screen(AskText(name, question, value=value), take)

    def _set(self, options: SubmitOptions) -> None:
        self._options = options
        self.action_reload()

    # The log

    def action_turn(self) -> None:
        """Show the log in place of the volumes where there is no room for both, and go there."""
        self.toggle_class("-log")
        target = SubmissionTable if self.has_class("-log") else CoverageMatrix
        self.call_after_refresh(self.query_one(target).focus)

    def action_upload(self) -> None:
        """Note that the submission was handed in."""
        row = self.query_one(SubmissionTable).highlighted
        if row is None:
            return

        def take(note: str | None) -> None:
            if note is not None:
                self._note(lambda: note_upload(self.cellmap.settings.state_dir, row.id, note=note))

        from cellmap_tui.services.submissions import note_upload

        question = "What to remember about it, in a line."
        self.app.push_screen(AskText(f"{row.id} was handed in", question, value="handed in"), take)

    def action_returned(self) -> None:
        """Note the score that came back."""
        row = self.query_one(SubmissionTable).highlighted
        if row is None:
            return

        def take(answer: str | None) -> None:
            if answer is not None:
                self._note(lambda: self._score(row, answer))

        self.app.push_screen(AskText(f"Score of {row.id}", "A number from 0 to 1, or a result file.", "0.412"), take)

    def _score(self, row: Submission, answer: str) -> None:
        from cellmap_tui.services.submissions import score_submission

        state_dir = self.cellmap.settings.state_dir
        try:
            overall = float(answer)
        except ValueError:
            score_submission(state_dir, row.id, origin="returned", file=Path(answer).expanduser())
        else:
            score_submission(state_dir, row.id, origin="returned", overall=overall)

    def _note(self, write: Callable[[], object]) -> None:
        try:
            write()
        except CellmapError as error:
            self.notify(printable(str(error)), severity="error")
        self._read_log(self.cellmap.settings.state_dir)

    def action_diff(self) -> None:
        """Show what changed since the submission that was handed in before."""
        from cellmap_tui.services.submissions import compare_submissions

        row = self.query_one(SubmissionTable).highlighted
        if row is None:
            return
        try:
            words = diff_words(compare_submissions(self.cellmap.settings.state_dir, row.id))
        except CellmapError as error:
            words = printable(str(error))
        self.app.push_screen(Pick(f"changes of {row.id}", words.splitlines()))

    def action_close(self) -> None:
        """Restore an enlarged pane, or go back to the volumes."""
        if self.maximized is not None:
            self.minimize()
        elif self.has_class("-log"):
            self.action_turn()
