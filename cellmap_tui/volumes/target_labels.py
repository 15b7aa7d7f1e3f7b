"""Targets on the voxels of a crop, read box by box: foreground, background and unknown kept apart.

`open_labels` gathers what is known of a crop; `open_target` gives a reader of one target. A reader is made
ready once with `prepare`, which costs nothing for a mask and a pass over the volume for objects; then any box
can be read, in any order, in memory bounded by the box and the slabs of `target_instances`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellmap_tui.volumes.known_labels import Labels, Origin, open_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Kind, Target
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.label_evidence import Evidence
    from cellmap_tui.volumes.label_volumes import LabelVolume

__all__ = ["Instancing", "Labels", "Method", "Origin", "TargetReader", "open_labels", "open_target"]

Method = Literal["components", "watershed"]
"""How a mask becomes objects: connected parts (26 neighbours), or those cut at their narrow places."""


def _nothing(voxels: int) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Instancing:
    """How objects are told apart where no array does."""

    method: Method = "components"
    """The method."""
    seed_distance_nm: float | None = None
    """Watershed: centres of objects are at least about so far apart; None: ten voxels."""


@dataclass(slots=True, eq=False)
class TargetReader:
    """One target on one grid, as a mask of 0 and 1; the readers of objects are made of it."""

    target: Target
    """What is read."""
    grid: Grid
    """The voxels."""
    evidence: tuple[Evidence, ...]
    """What is known of each of its classes; at least one."""
    ignored: tuple[Evidence, ...]
    """Classes whose voxels count as unknown."""
    missing: tuple[str, ...]
    """Classes of which nothing is known here: where no other is present, the target is unknown."""
    kind: Kind = "semantic"
    """Whether values are object ids."""
    max_id: int = 1
    """Largest value; of objects only known after `prepare`."""
    objects: int | None = None
    """Number of objects, after `prepare`; None for a mask."""
    passes: int = field(default=0)
    """How often `prepare` looks through the volume."""

    @property
    def words(self) -> str:
        """Where it is known from, for people."""
        return ", ".join(dict.fromkeys(evidence.words for evidence in self.evidence))

    @property
    def volumes(self) -> tuple[LabelVolume, ...]:
        """Everything that is read."""
        found = {id(v): v for evidence in (*self.evidence, *self.ignored) for v in evidence.volumes}
        return tuple(found.values())

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Narrowest unsigned type that holds every value and one more, for unknown."""
        return np.dtype(np.min_scalar_type(self.max_id + 1))

    @property
    def unknown_value(self) -> int:
        """The value, in `dtype`, that stands for unknown where one is needed."""
        return int(2 ** (8 * self.dtype.itemsize) - 1)

    @property
    def memory_bytes(self) -> int:
        """What is held in memory besides the boxes that are read."""
        return 0

    def prepare(self, checkpoint: Callable[[], None] | None = None, seen: Callable[[int], None] = _nothing) -> None:
        """Find out what has to be known before voxels are read: for objects, a pass over the volume.

        Parameters
        ----------
        checkpoint
            Called between slabs; may raise to give up.
        seen
            Told voxels as they are looked through.

        Raises
        ------
        DataError
            If an array is broken.
        """

    def read(self, box: Box) -> tuple[Voxels, NDArray[np.bool_]]:
        """Return a box of voxels of the grid, which may reach outside: there, nothing is known.

        Returns
        -------
        values, known
            Values of `dtype`, 0 where background or not known; and which are known. Both of the box's shape.
        """
        present, known = self.mask(box)
        return present.view(np.uint8), known

    def read_with_unknown(self, box: Box) -> Voxels:
        """Return a box of voxels with `unknown_value` where nothing is known."""
        values, known = self.read(box)
        values = values.astype(self.dtype, copy=False)
        values[~known] = self.unknown_value
        return values

    def mask(self, box: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return foreground and known voxels of a box."""
        present = np.zeros(box.shape, np.bool_)
        unknown = np.full(box.shape, bool(self.missing))
        for evidence in self.evidence:
            here, unsure = evidence.states(self.grid, box)
            present |= here
            unknown |= unsure
        known = ~unknown
        known |= present
        for evidence in self.ignored:
            here, _ = evidence.states(self.grid, box)
            known &= ~here
        present &= known
        return present, known


def open_target(
    labels: Labels,
    target: Target,
    ignored: Collection[str] = (),
    *,
    kind: Kind | None = None,
    instancing: Instancing | None = None,
    grid: Grid | None = None,
) -> TargetReader | None:
    """Return a reader of a target, None where none of its classes is known here.

    Parameters
    ----------
    labels
        What is known; see `open_labels`.
    target
        What is wanted.
    ignored
        Classes whose voxels count as unknown.
    kind
        In place of the target's own kind.
    instancing
        How objects are told apart where no array carries ids.
    grid
        In place of the grid of `labels`; where it reaches beyond the labels, nothing is known.

    Raises
    ------
    MissingDataError
        If arrays that are needed are not on disk.
    DataError
        If an array is broken or holds no labels.
    """
    from cellmap_tui.volumes.target_instances import ComponentReader, KeptIdReader, WatershedReader

    wanted = kind or target.kind
    hidden = {name: labels.evidence(name) for name in ignored}
    left_out = tuple(one for one in hidden.values() if one is not None)
    known = [name for name, one in hidden.items() if one is not None]
    carriers = labels.with_ids(target, known) if wanted == "instance" else ()
    found = {name: labels.evidence(name) for name in carriers or target.classes}
    evidence = tuple(one for one in found.values() if one is not None)
    if not evidence:
        return None
    missing = tuple(name for name, one in found.items() if one is None)
    base = TargetReader(target, grid or labels.grid, evidence, left_out, missing)
    if wanted == "semantic":
        return base
    if carriers:
        return KeptIdReader.over(base, tuple(map(labels.array, carriers)))
    how = instancing or Instancing()
    if how.method == "components":
        return ComponentReader.over(base)
    return WatershedReader.over(base, how.seed_distance_nm)
