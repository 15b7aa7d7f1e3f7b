"""Which rows of a table are shown, in which order, and which are marked; knows no terminal.

Rows stay where they are: sorting and filtering make new lists of row numbers. A filter runs in
slices of a few milliseconds, so that a keystroke is painted as soon as the first rows are known,
however many rows there are; until `advance` returns True the list of shown rows still grows.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

Row = TypeVar("Row")

_ROWS_BETWEEN_LOOKS_AT_THE_CLOCK = 128


class RowIndex(Generic[Row]):
    """Order, filter and marks over a sequence of rows.

    Parameters
    ----------
    row_key
        Returns what identifies a row across reloads.
    search_text
        Returns the text that `search` looks in; read once a row and kept in lower case.
    mark_key
        Returns what a mark on a row stands for, where that is not the row: several rows may share it.
    """

    def __init__(
        self,
        row_key: Callable[[Row], Hashable],
        search_text: Callable[[Row], str] | None = None,
        mark_key: Callable[[Row], Hashable] | None = None,
    ) -> None:
        self._row_key = row_key
        self._mark_key = mark_key or row_key
        self.shares_marks = mark_key is not None
        self._search_text = search_text
        self._lowered: list[str | None] = []
        self._order: Sequence[int] = ()
        self._keep: Callable[[Row], bool] | None = None
        self._words: tuple[str, ...] = ()
        self._pending: Iterator[int] | None = None
        self._sort: tuple[Callable[[Row], Any], bool] | None = None
        self._needle = ""
        self.rows: Sequence[Row] = ()
        self.shown: Sequence[int] = ()
        self.marks: set[Hashable] = set()
        self._marks_shown: set[Hashable] = set()

    def __len__(self) -> int:
        """Number of rows shown so far."""
        return len(self.shown)

    @property
    def is_filtering(self) -> bool:
        """Whether rows remain that the filter has not seen."""
        return self._pending is not None

    @property
    def marks_hidden(self) -> int:
        """Number of marks that no shown row has."""
        return len(self.marks) - len(self._marks_shown)

    def row(self, position: int) -> Row:
        """Return the row shown at a position."""
        return self.rows[self.shown[position]]

    def key(self, position: int) -> Hashable:
        """Return the key of the row shown at a position."""
        return self._row_key(self.row(position))

    def is_marked(self, position: int) -> bool:
        """Return whether the row shown at a position is marked."""
        return bool(self.marks) and self._mark_key(self.row(position)) in self.marks

    def position_of_number(self, number: int) -> int | None:
        """Return where a row is shown, or None."""
        try:
            return self.shown.index(number)
        except ValueError:
            return None

    def position_of(self, key: Hashable) -> int | None:
        """Return where the row with this key is shown, or None."""
        for position, number in enumerate(self.shown):
            if self._row_key(self.rows[number]) == key:
                return position
        return None

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Replace the rows; order, filter and marks stay. Call `advance` afterwards."""
        self.rows = rows
        self._lowered = [None] * len(rows) if self._search_text else []
        self._reorder()

    def has_keys_of(self, rows: Sequence[Row]) -> bool:
        """Return whether these are the rows that are there, in their order, whatever their values."""
        key = self._row_key
        return len(rows) == len(self.rows) and all(key(a) == key(b) for a, b in zip(rows, self.rows, strict=True))

    def sort(self, sort_key: Callable[[Row], Any] | None, *, reverse: bool = False) -> None:
        """Order the rows by a key, or as they came (None). Call `advance` afterwards."""
        self._sort = (sort_key, reverse) if sort_key else None
        self._reorder()

    def filter(self, keep: Callable[[Row], bool] | None, *, narrows: bool = False) -> None:
        """Show only rows that `keep` accepts; None shows all. Call `advance` afterwards.

        Parameters
        ----------
        narrows
            The caller knows that no row can join that the last filter hid.
        """
        self._needle, self._words = "", ()
        self._start(keep, narrows=narrows)

    def search(self, text: str) -> None:
        """Show only rows whose text holds every word, in any case. Call `advance` afterwards."""
        needle = text.lower()
        narrows = bool(self._needle) and needle.startswith(self._needle)
        self._needle, self._words = needle, tuple(needle.split())
        self._start(None, narrows=narrows)

    def advance(self, budget_s: float = float("inf")) -> bool:
        """Filter on for at most `budget_s` and return whether every row has been seen."""
        if self._pending is None:
            return True
        end = perf_counter() + budget_s
        found = self.shown
        assert isinstance(found, list)
        while batch := list(islice(self._pending, _ROWS_BETWEEN_LOOKS_AT_THE_CLOCK)):
            passed = self._passing(batch)
            found.extend(passed)
            if self.marks:
                self._marks_shown |= self.marks & self._mark_keys(passed)
            if perf_counter() >= end:
                return False
        self._pending = None
        return True

    def _passing(self, numbers: Sequence[int]) -> list[int]:
        if self._keep is not None:
            keep, rows = self._keep, self.rows
            return [number for number in numbers if keep(rows[number])]
        words, text = self._words, self._lowered_text
        return [number for number in numbers if all(word in text(number) for word in words)]

    def toggle_mark(self, position: int) -> None:
        """Mark the row at a position, or take its mark away."""
        key = self._mark_key(self.row(position))
        self.marks ^= {key}
        self._marks_shown ^= {key}

    def toggle_all(self) -> None:
        """Mark every shown row; when all of them are marked, take their marks away."""
        keys = self._mark_keys(self.shown)
        if keys <= self.marks:
            self.marks -= keys
            self._marks_shown = set()
        else:
            self.marks |= keys
            self._marks_shown = keys

    def set_marks(self, keys: set[Hashable]) -> None:
        """Replace the marks."""
        self.marks = set(keys)
        self._marks_shown = self.marks & self._mark_keys(self.shown) if self.marks else set()

    def _mark_keys(self, numbers: Sequence[int]) -> set[Hashable]:
        return {self._mark_key(self.rows[number]) for number in numbers}

    def _lowered_text(self, number: int) -> str:
        text = self._lowered[number]
        if text is None:
            assert self._search_text is not None
            text = self._lowered[number] = self._search_text(self.rows[number]).lower()
        return text

    def _reorder(self) -> None:
        numbers: Sequence[int] = range(len(self.rows))
        if self._sort:
            sort_key, reverse = self._sort
            rows = self.rows
            numbers = sorted(numbers, key=lambda number: sort_key(rows[number]), reverse=reverse)
        self._order = numbers
        self._start(self._keep, narrows=False)

    def _start(self, keep: Callable[[Row], bool] | None, *, narrows: bool) -> None:
        source = self.shown if narrows and self._pending is None else self._order
        self._keep = keep
        if keep is None and not self._words:
            # The order itself is the answer; scanning it would only cost time.
            self._pending = None
            self.shown = self._order
            self.set_marks(self.marks)
            return
        self._marks_shown = set()
        self.shown = []
        self._pending = iter(source)
