"""What annotated classes say about others: every voxel is of one atomic class, so what is one is not another.

Works on rows of states, not on voxels: the possible atomic classes of a row are those inside every present
class and outside every absent one. A class is present where all that is possible lies inside it, absent
where nothing does. The states must be those of voxels as they were annotated: where each class was put to
the vote alone, a cell can hold a group without any of its members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.learning.codebook import Rows, States


class Exclusion:
    """What rows of states of some classes say about any class of the table.

    Parameters
    ----------
    names
        The annotated classes, one for each column of the rows; those outside the table and None say nothing.
    table
        The class table.
    """

    def __init__(self, names: Sequence[str | None], table: ClassTable) -> None:
        self._table = table
        atoms = [info.id for info in table if not info.is_group]
        self._place = {class_id: number for number, class_id in enumerate(atoms)}
        known = [(number, table.named(name)) for number, name in enumerate(names) if name is not None]
        self._columns = [number for number, info in known if info is not None]
        self._inside = np.stack([self._atoms(info.name) for _, info in known if info is not None] or [self._none()])

    def infer(self, rows: Rows, name: str) -> States:
        """Return what rows ``[n, classes]`` say about a class: states uint8 ``[n]``, unknown where nothing follows.

        Nothing follows from rows that contradict themselves.
        """
        found = np.full(len(rows), UNKNOWN, np.uint8)
        if name not in self._table or not self._columns:
            return found
        inside = self._atoms(name)
        possible = self._possible(rows)
        is_present, is_absent = ~_any(possible & ~inside), ~_any(possible & inside)
        found[is_absent] = ABSENT
        found[is_present] = PRESENT
        found[is_absent & is_present] = UNKNOWN
        return found

    def contradictory(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows cannot be true of any voxel; bool ``[n]``."""
        if not self._columns:
            return np.zeros(len(rows), np.bool_)
        return ~_any(self._possible(rows))

    def _possible(self, rows: Rows) -> NDArray[np.bool_]:
        present, absent = self._split(rows)
        inside = self._inside.astype(np.int32)
        result: NDArray[np.bool_] = (present @ (1 - inside) + absent @ inside) == 0
        return result

    def _split(self, rows: Rows) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        known = rows[:, self._columns]
        return (known == PRESENT).astype(np.int32), (known == ABSENT).astype(np.int32)

    def _atoms(self, name: str) -> NDArray[np.bool_]:
        info = self._table.get(name)
        found = self._none()
        for class_id in info.member_ids or (info.id,):
            if class_id in self._place:
                found[self._place[class_id]] = True
        return found

    def _none(self) -> NDArray[np.bool_]:
        return np.zeros(len(self._place), np.bool_)


def _any(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each row whether any of its flags is set."""
    found: NDArray[np.bool_] = np.logical_or.reduce(flags, axis=1)
    return found
