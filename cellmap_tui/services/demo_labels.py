"""From what each voxel is to the arrays that a crop carries: classes, groups, object ids and ``all``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.demo_noise import axes_of
from cellmap_tui.services.demo_tissue import ATOMS, atoms_of, depths_on, objects_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import numpy as np
    import numpy.typing as npt

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.demo_cell import Scene
    from cellmap_tui.services.demo_tissue import Ids, ObjectIds

    Labels = npt.NDArray[np.unsignedinteger[Any]]

UNSCORED_ATOMS = {"nucleo": "nucpl"}
"""Atomic classes without an array of their own; ``all`` has them where the other class is annotated."""


class CropLabels:
    """The labels of one crop.

    Parameters
    ----------
    scene
        What there is.
    grid
        Where the labels lie, at which voxel size.
    table
        The challenge's classes.
    """

    def __init__(self, scene: Scene, grid: Grid, table: ClassTable) -> None:
        axes = axes_of(grid)
        depths = depths_on(scene, axes)
        self.atoms: Ids = atoms_of(scene, axes, depths, grid.voxel_size_nm)
        self.objects: dict[str, ObjectIds] = objects_of(scene, depths, self.atoms)
        self._table = table

    def arrays(self, classes: Iterable[str]) -> Iterator[tuple[str, Labels]]:
        """Yield name and array of each class: object ids (uint16) of instance classes, 0 and 1 (uint8) of others."""
        for name in classes:
            yield name, self.array(name)

    def array(self, name: str) -> Labels:
        """Return the array of one class."""
        import numpy as np

        info = self._table.get(name)
        if name in self.objects:
            return self.objects[name]
        if info.scoring == "instance":
            return np.zeros(self.atoms.shape, np.uint16)
        return np.isin(self.atoms, info.member_ids or (info.id,)).astype(np.uint8)

    def all_ids(self, classes: Iterable[str]) -> Ids:
        """Return the finest annotated id of each voxel, 0 where none of the annotated classes is."""
        import numpy as np

        finest = np.zeros(256, np.uint8)
        annotated = set(classes)
        for name, atom in ATOMS.items():
            finest[atom] = self._finest_id(name, atom, annotated)
        return finest[self.atoms]

    def annotation(self, name: str) -> dict[str, Any]:
        """Return what the group of a class says about its values, in the words of the challenge's own groups."""
        is_instance = self._table.get(name).scoring == "instance"
        kind = "instance_segmentation" if is_instance else "semantic_segmentation"
        encoding = {"absent": 0} if is_instance else {"absent": 0, "present": 1}
        return {"class_name": name, "annotation_type": {"type": kind, "encoding": encoding}}

    def _finest_id(self, name: str, atom: int, annotated: set[str]) -> int:
        if name in annotated or UNSCORED_ATOMS.get(name) in annotated:
            return atom
        groups = (group for group in self._table.parents(atom) if group.name in annotated)
        return next((group.id for group in groups), 0)
