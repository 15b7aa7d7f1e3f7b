"""How the targets of a book follow from the classes that a crop annotates.

Owns the rules on rows of states: unions and groups by `challenge.targets.class_source`, what mutual
exclusion adds, what is ignored, and where an object's core is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.targets import class_source
from cellmap_tui.learning.codebook import ABSENT, PRESENT, UNKNOWN, column_names
from cellmap_tui.learning.exclusion import Exclusion

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.targets import ClassSource, Target, Targets
    from cellmap_tui.learning.codebook import Rows, States


class Derivation:
    """Turns rows of what was read into rows of targets.

    Parameters
    ----------
    annotated
        Classes of the crop that were read, one for each of the first columns of the rows.
    targets
        What is wanted.
    table
        The class table; the built-in one by default.
    labels
        Names outside the table.
    evidence
        Annotated classes that mutual exclusion builds on; none: nothing is inferred.
    cores
        Targets with a core.
    """

    def __init__(
        self,
        annotated: Sequence[str],
        targets: Targets,
        table: ClassTable | None = None,
        *,
        labels: Collection[str] = (),
        evidence: Collection[str] = (),
        cores: Sequence[str] = (),
    ) -> None:
        self._table = table or builtin_classes()
        self._targets = targets
        self._column = {name: number for number, name in enumerate(annotated)}
        names = (*targets.classes, *targets.ignored)
        self._sources = {n: class_source(n, annotated, self._table, labels=labels) for n in names}
        proving = [name if name in evidence else None for name in annotated]
        self._exclusion = Exclusion(proving, self._table) if evidence else None
        self._cores = tuple(cores)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of a projected row."""
        return column_names(self._targets, cores=bool(self._cores))

    @property
    def joins(self) -> bool:
        """Whether some target takes more than one array: a union, what is ignored, or what is inferred."""
        is_ignored = any(self._sources[name].arrays for name in self._targets.ignored)
        joined = (sum(len(self._sources[n].arrays) for n in target.classes) for target in self._targets.targets)
        return self._exclusion is not None or is_ignored or any(arrays > 1 for arrays in joined)

    def targets_from(self, rows: Rows) -> Rows:
        """Return rows ``[n, targets]`` from rows ``[n, annotated classes]``."""
        ignored = np.zeros(len(rows), np.bool_)
        for name in self._targets.ignored:
            ignored |= self.class_states(rows, name) == PRESENT
        columns = [np.where(ignored, UNKNOWN, self._target(rows, target)) for target in self._targets.targets]
        return np.stack(columns, axis=1).astype(np.uint8)

    def with_cores(self, rows: Rows, cores: Rows) -> Rows:
        """Return rows ``[n, targets and cores]``: a core is known where its target is, and absent where that is.

        Parameters
        ----------
        rows
            States ``[n, targets]``.
        cores
            States ``[n, cores]`` of the voxels' being core.
        """
        of_target = rows[:, [self._targets.names.index(name) for name in self._cores]]
        return np.concatenate([rows, np.where(of_target == PRESENT, cores, of_target)], axis=1).astype(np.uint8)

    def class_states(self, rows: Rows, name: str) -> States:
        """Return the states uint8 ``[n]`` of one class of the targets."""
        found = _from_source(rows, self._sources[name], self._column)
        if self._exclusion is None:
            return found
        return np.where(found == UNKNOWN, self._exclusion.infer(rows, name), found)

    def contradictory(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows no voxel can have; bool ``[n]``. Only asked where mutual exclusion is used."""
        if self._exclusion is None:
            return np.zeros(len(rows), np.bool_)
        return self._exclusion.contradictory(rows)

    def _target(self, rows: Rows, target: Target) -> States:
        return _union([self.class_states(rows, name) for name in target.classes])


def _from_source(rows: Rows, source: ClassSource, column: dict[str, int]) -> States:
    if not source.arrays:
        return np.full(len(rows), UNKNOWN, np.uint8)
    found = _union([rows[:, column[name]] for name in source.arrays])
    return found if source.complete else np.where(found == PRESENT, found, UNKNOWN).astype(np.uint8)


def _union(states: Sequence[States]) -> States:
    """Return present where any is, absent where all are, else unknown."""
    every = np.stack(states)
    is_absent = (every == ABSENT).all(axis=0)
    found = np.where(is_absent, ABSENT, UNKNOWN)
    return np.where((every == PRESENT).any(axis=0), PRESENT, found).astype(np.uint8)
