"""Crops: the annotated blocks of a dataset, where they lie and which classes they carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellmap_tui.challenge.grid import Grid

Split = Literal["train", "test"]
"""Whether truth is published (train) or kept for scoring (test)."""

Source = Literal["challenge", "import", "demo", "manifest"]
"""Where a crop is known from: the published tables, `import`, `demo`, or a manifest given by the user."""

SPLITS: tuple[Split, ...] = ("train", "test")
SOURCES: tuple[Source, ...] = ("challenge", "import", "demo", "manifest")


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop of a dataset with the classes that are annotated in it."""

    id: int
    """Number; unique in its dataset, and among the challenge's own crops."""
    dataset: str
    """Name of the dataset, a safe folder name."""
    split: Split
    """Training or test."""
    grid: Grid
    """Voxel size, translation and shape of its labels at the finest level."""
    classes: tuple[str, ...]
    """Names of the annotated (test: scored) classes, in the order of their ids."""
    alignment: str = "recon-1"
    """Folder of the alignment in the dataset's store."""
    em_name: str = "fibsem-uint8"
    """Folder of the EM below ``em/``."""
    source: Source = "challenge"
    """Where it is known from."""
    class_grids: tuple[tuple[str, Grid], ...] = ()
    """Grids of the classes whose labels differ from `grid`."""

    @property
    def name(self) -> str:
        """Folder name of the crop, such as ``crop234``."""
        return f"crop{self.id}"

    @property
    def ref(self) -> str:
        """Unambiguous name, such as ``jrc_cos7-1a/crop234``."""
        return f"{self.dataset}/crop{self.id}"

    def grid_of(self, class_name: str) -> Grid:
        """Return the grid of a class's labels."""
        for name, grid in self.class_grids:
            if name == class_name:
                return grid
        return self.grid

    def annotations(self) -> Iterator[Annotation]:
        """Yield an annotation for each class of the crop."""
        for name in self.classes:
            yield Annotation(self, name, self.grid_of(name) if self.class_grids else self.grid)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One class of one crop: a label volume."""

    crop: Crop
    """The crop."""
    class_name: str
    """The class."""
    grid: Grid
    """Voxel size, translation and shape of this label volume."""
