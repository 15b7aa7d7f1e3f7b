"""Everything about one crop: where it lies, its EM levels, and what the array of each class holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from cellmap_tui.app.class_items import CLASS_COLUMNS, ClassItem, class_items, level_words
from cellmap_tui.app.crop_words import page
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.table import VirtualTable
from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.report import SilentReporter
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.worker import Worker

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.services.crop_facts import CropDetail
    from cellmap_tui.services.inspect import CropFacts

_KEPT = 64
"""Crops whose facts are remembered; looking through one costs up to seconds."""


class _Looked(Message):
    """Something about the crop is known now."""

    def __init__(self, ref: str, detail: CropDetail, facts: CropFacts | None, words: str) -> None:
        self.ref = ref
        self.detail = detail
        self.facts = facts
        self.words = words
        super().__init__()

    def can_replace(self, message: Message) -> bool:
        """Only the newest state counts."""
        return isinstance(message, _Looked)


class _WorkerReporter(SilentReporter):
    """Passes progress on to a widget, and ends the work when the worker is cancelled."""

    def __init__(self, details: CropDetails, detail: CropDetail, worker: Worker[None]) -> None:
        self._details = details
        self._detail = detail
        self._worker = worker

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Show how many arrays are done."""
        self.checkpoint()
        words = f"looking through the arrays: {done:.0f} of {total or 0:.0f}"
        self._details.post_message(_Looked(self._detail.row.ref, self._detail, None, words))

    def checkpoint(self) -> None:
        """End the work when nobody waits for it."""
        if self._worker.is_cancelled:
            raise Stopped("another crop is shown")


class CropDetails(Vertical):
    """A page of words over a table of classes."""

    DEFAULT_CSS = """
    CropDetails > Static { height: auto; margin: 0 0 1 0; }
    CropDetails > VirtualTable { height: 1fr; min-height: 3; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._browsed: Browsed | None = None
        self._item: CropItem | None = None
        self._known: dict[str, CropFacts] = {}
        self._begin_at: str | None = None

    def compose(self) -> ComposeResult:
        """Yield the words and the table."""
        yield Static(markup=False)
        yield VirtualTable(CLASS_COLUMNS, row_key=lambda item: item.name, markable=False)

    @property
    def table(self) -> VirtualTable[ClassItem]:
        """The classes."""
        return self.query_one(VirtualTable)

    def show(self, browsed: Browsed, item: CropItem | None, class_name: str | None = None) -> None:
        """Show a crop, the cursor on a class of it; what must be read from disk follows."""
        self._begin_at = class_name
        if browsed is not self._browsed:
            self._known.clear()
        self._browsed, self._item = browsed, item
        if item is None:
            self.workers.cancel_group(self, "details")
            self._write(Content(""), ())
            return
        self._write(page(item, None, (), self.size.width), ())
        self._look(browsed, item, self._known.get(item.crop.ref))

    @work(thread=True, exclusive=True, group="details", exit_on_error=False)
    def _look(self, browsed: Browsed, item: CropItem, known: CropFacts | None) -> None:
        from cellmap_tui.services.crop_facts import crop_detail

        worker = get_current_worker()
        bucket = self.app.settings.bucket if hasattr(self.app, "settings") else ""
        detail = crop_detail(browsed.catalog, item.crop.ref, bucket=bucket)
        self.post_message(_Looked(item.crop.ref, detail, known, ""))
        if known is not None or not item.share or browsed.catalog.data_root is None:
            return
        # numpy and zarr come with the first local crop, 0.3 s
        from cellmap_tui.services.inspect import inspect_crop

        try:
            report = _WorkerReporter(self, detail, worker)
            facts = inspect_crop(browsed.catalog.data_root, item.crop, browsed.catalog, report)
        except Stopped:
            return
        except CellmapError as error:
            self.post_message(_Looked(item.crop.ref, detail, None, f"{sign('error')} {error}"))
            return
        self.post_message(_Looked(item.crop.ref, detail, facts, ""))

    @on(_Looked)
    def _take(self, event: _Looked) -> None:
        event.stop()
        item = self._item
        if item is None or event.ref != item.crop.ref:
            return
        facts = event.facts
        if facts is not None:
            self._known[event.ref] = facts
            while len(self._known) > _KEPT:
                self._known.pop(next(iter(self._known)))
        levels = level_words(facts.em_levels, self.size.width - 10) if facts else ()
        if not levels:
            levels = (event.words or "not on disk",)
        parts = [page(item, event.detail, levels, self.size.width)]
        if facts is not None:
            parts += [Content.styled(f"{sign('warning')} {printable(note)}", "$text-warning") for note in facts.notes]
        self._write(Content("\n").join(parts), class_items(event.detail, facts, self._empty_remote(item)))

    def _empty_remote(self, item: CropItem) -> frozenset[str]:
        """Return the classes that hold nothing in the bucket, for a crop that is not here to be looked at."""
        if self._browsed is None or item.crop.source not in {"challenge", "manifest"}:
            return frozenset()
        return self._browsed.empty_remote.get(item.crop.ref, frozenset())

    def _write(self, words: Content, items: tuple[ClassItem, ...]) -> None:
        self.query_one(Static).update(words)
        self.table.set_rows(items)
        if items and self._begin_at is not None:
            self.table.go_to(self._begin_at)
            self._begin_at = None
