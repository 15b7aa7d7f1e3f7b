"""Label codes: one small number for each distinct combination of what is known about the targets.

A voxel is present, absent or unknown for every target. A *code* is one such combination and a *book*
holds the combinations, so that one byte a voxel carries any number of targets, validity included, and
decodes exactly. Owns the states, coding blocks of class states and decoding. How targets follow from
the classes of a crop is the business of `derivation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.targets import Targets

ABSENT = 0
"""Known not to be of the target."""
PRESENT = 1
"""Known to be of the target."""
UNKNOWN = 255
"""Nobody said."""
OUTSIDE = 0
"""The code of what lies outside the annotation: unknown for every target."""
CORE = "/core"
"""What is appended to a target's name for the column of its objects' cores."""
MAX_CODES = 65_536
"""A code volume is uint8, or uint16 above 256 codes; annotations that need more are no annotations."""

States = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
"""An array of states."""

Rows = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
"""States ``[rows, columns]``."""

_KEYS = 65_536
"""Combinations that are told apart in one look-up before they are renumbered."""


def column_names(targets: Targets, cores: bool = True) -> tuple[str, ...]:
    """Return the columns of a book: the targets in order, then the cores of those that have one."""
    wanted = tuple(target.name + CORE for target in targets.targets if target.core) if cores else ()
    return targets.names + wanted


def decode(codes: NDArray[Any], book: Rows, first_code: int = 0) -> States:
    """Return the states of each column at each voxel.

    Parameters
    ----------
    codes
        Codes of any shape.
    book
        States ``[codes, columns]``, uint8.
    first_code
        Row of `book` at which the codes' own book starts.

    Returns
    -------
    States
        uint8 ``[columns, *codes.shape]`` of `ABSENT`, `PRESENT` and `UNKNOWN`.
    """
    columns = np.ascontiguousarray(book[first_code:].T)
    return np.stack([column.take(codes) for column in columns])


class BookBuilder:
    """Gives each distinct row of states a code, in the order in which rows turn up.

    Parameters
    ----------
    columns
        Number of columns of the book.
    project
        Turns rows of what was read ``[n, arrays]`` into rows of the book ``[n, columns]``; None: as they are.
    """

    def __init__(self, columns: int, project: Callable[[Rows], Rows] | None = None) -> None:
        self._project = project
        outside = np.full(columns, UNKNOWN, np.uint8)
        self._rows: list[Rows] = [outside]
        self._codes: dict[bytes, int] = {outside.tobytes(): OUTSIDE}
        self._seen: dict[bytes, int] = {}

    @property
    def book(self) -> Rows:
        """Every row so far, uint8 ``[codes, columns]``; the first is `OUTSIDE`."""
        return np.stack(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def codes_of(self, rows: Rows) -> NDArray[np.uint16]:
        """Return the codes of rows ``[n, arrays]`` as they were read.

        Raises
        ------
        DataError
            If there are more than `MAX_CODES` combinations.
        """
        keys = [row.tobytes() for row in np.ascontiguousarray(rows)]
        fresh = [number for number, key in enumerate(keys) if key not in self._seen]
        if fresh:
            new = np.ascontiguousarray(rows[fresh])
            projected = np.ascontiguousarray(self._project(new) if self._project is not None else new)
            for number, row in zip(fresh, projected, strict=True):
                self._seen[keys[number]] = self._code(row)
        return np.array([self._seen[key] for key in keys], np.uint16)

    def code_block(self, states: Sequence[States | int], shape: tuple[int, ...]) -> NDArray[np.uint16]:
        """Return the codes of a block of voxels.

        Parameters
        ----------
        states
            For each array, its states as uint8 of `shape`, or one state where the whole block has it.
        shape
            Shape of the block.
        """
        keys, rows = combinations(states, shape)
        return self.codes_of(rows).take(keys)

    def _code(self, row: Rows) -> int:
        key = row.tobytes()
        code = self._codes.get(key)
        if code is None:
            code = len(self._rows)
            if code >= MAX_CODES:
                raise DataError(
                    f"the labels have more than {MAX_CODES} combinations of targets",
                    "these are object ids or noise, not classes: check the label arrays, or take fewer targets",
                )
            self._codes[key] = code
            self._rows.append(row.copy())
        return code


def combinations(states: Sequence[States | int], shape: tuple[int, ...]) -> tuple[NDArray[Any], Rows]:
    """Return which combination of states each voxel has, and the combinations that occur.

    Parameters
    ----------
    states
        As in `BookBuilder.code_block`.
    shape
        Shape of the block.

    Returns
    -------
    keys, rows
        Row number of each voxel, unsigned, of `shape`; and states ``[rows, arrays]``, each of which occurs.
    """
    mixed = [(number, column) for number, column in enumerate(states) if not isinstance(column, int)]
    keys: NDArray[Any] = np.zeros(shape, np.uint16)
    rows: Rows = np.zeros((1, 0), np.uint8)
    for _, column in mixed:
        values = _values(column)
        if len(rows) * len(values) > _KEYS and keys.dtype == np.uint16:
            keys, rows = _renumbered(keys, rows)
        if len(rows) * len(values) > _KEYS:
            keys = keys.astype(np.uint32)
        keys, rows = _with_column(keys, rows, column, values)
    keys, rows = _renumbered(keys, rows)
    out = np.empty((len(rows), len(states)), np.uint8)
    for place, (number, _) in enumerate(mixed):
        out[:, number] = rows[:, place]
    for number, state in enumerate(states):
        if isinstance(state, int):
            out[:, number] = state
    return keys, out


def _values(column: States) -> tuple[int, ...]:
    """Return the states that may occur in a column; unknown ones are rare and checked for."""
    return (ABSENT, PRESENT, UNKNOWN) if column.max() > PRESENT else (ABSENT, PRESENT)


def _with_column(
    keys: NDArray[Any], rows: Rows, column: States, values: tuple[int, ...]
) -> tuple[NDArray[Any], Rows]:
    count = len(rows)
    # UNKNOWN is 255: its lowest two bits are 3, so ``& 2`` tells it from PRESENT.
    digit = column if len(values) == 2 else (column & 1) + ((column & 2) >> 1)
    keys += digit.astype(keys.dtype) * keys.dtype.type(count)
    parts = [np.column_stack([rows, np.full(count, value, np.uint8)]) for value in values]
    return keys, np.concatenate(parts)


def _renumbered(keys: NDArray[Any], rows: Rows) -> tuple[NDArray[Any], Rows]:
    """Return keys and rows without the combinations that do not occur."""
    if len(rows) <= 1:
        return keys, rows
    occurs = np.bincount(keys.ravel(), minlength=len(rows)) > 0
    number = np.cumsum(occurs, dtype=np.int64) - 1
    dtype = np.uint16 if occurs.sum() <= _KEYS else np.uint32
    return number.astype(dtype).take(keys), rows[occurs]
