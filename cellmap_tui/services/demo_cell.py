"""The synthetic cell: what lies where, and how deep a place is in it.

A scene is a list of shapes in world space, nanometres, without voxels. EM and labels are sampled
from it at any voxel size, so they fit each other to a fraction of a voxel. `demo_placing` draws a
scene, `demo_tissue` decides what a voxel holds, `demo_em` how it looks under the microscope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.services.demo_noise import opened

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.demo_bodies import Body
    from cellmap_tui.services.demo_noise import Axes, Floats, NoiseField

ENVELOPE_NM = 48.0
"""Thickness of the nuclear envelope: two membranes and the gap between them."""
PORE_RADIUS_NM = 50.0
"""Outer radius of a nuclear pore."""
_GAP_BETWEEN_CELLS_NM = 34.0
_RESIN_MARGIN_NM = 25.0


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A rounded solid along the axes."""

    centre_nm: Vec3
    radii_nm: Vec3

    def depth_nm(self, z: Floats, y: Floats, x: Floats) -> Floats:
        """Return the depth below the surface, negative outside; exact to first order near the surface."""
        import numpy as np

        scaled = [(p - c) / r for p, c, r in zip((z, y, x), self.centre_nm, self.radii_nm, strict=True)]
        k0 = np.sqrt(sum((s**2 for s in scaled), np.float32(1e-6)))
        k1 = np.sqrt(sum(((s / r) ** 2 for s, r in zip(scaled, self.radii_nm, strict=True)), np.float32(1e-12)))
        return k0 * (1 - k0) / k1  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything in one synthetic volume."""

    box: Grid
    """Grid of the finest EM level: where the scene has content."""
    cells: tuple[Ellipsoid, ...]
    nucleus: Ellipsoid
    """Nucleus of the first cell."""
    nucleoli: tuple[Ellipsoid, ...]
    resin: Ellipsoid
    """Corner that is free of cells."""
    noise: dict[str, NoiseField]
    """Smooth random fields by purpose."""
    pores_nm: Floats
    """Centres of the nuclear pores, float32 [n, 3]."""
    mitochondria: tuple[Body, ...]
    vesicles: tuple[Body, ...]
    others: tuple[Body, ...]
    """Endosomes, lysosomes and lipid droplets."""


class Lattice:
    """Places on the product of three axes."""

    def __init__(self, axes: Axes) -> None:
        self.zyx = opened(axes)
        self._axes = axes
        self._values: dict[int, Floats] = {}

    def value(self, field: NoiseField) -> Floats:
        """Return a noise field at these places; remembered, since several shapes share a field."""
        if id(field) not in self._values:
            self._values[id(field)] = field.on(self._axes)
        return self._values[id(field)]


class Points:
    """Single places, [n, 3]."""

    def __init__(self, points_nm: Floats) -> None:
        self.zyx = (points_nm[:, 0], points_nm[:, 1], points_nm[:, 2])
        self._points_nm = points_nm
        self._values: dict[int, Floats] = {}

    def value(self, field: NoiseField) -> Floats:
        """Return a noise field at these places; remembered, since several shapes share a field."""
        if id(field) not in self._values:
            self._values[id(field)] = field.at(self._points_nm)
        return self._values[id(field)]


def cell_depths(scene: Scene, places: Lattice | Points) -> tuple[Floats, Floats]:
    """Return the depths below the two cells' surfaces in nm, a gap between the cells left free."""
    import numpy as np

    uneven = 34 * places.value(scene.noise["outline"]) + 9 * places.value(scene.noise["ruffle"])
    free = -scene.resin.depth_nm(*places.zyx) - _RESIN_MARGIN_NM
    first, second = (np.minimum(cell.depth_nm(*places.zyx) + uneven, free) for cell in scene.cells)
    half_gap = np.float32(_GAP_BETWEEN_CELLS_NM / 2)
    between = (first - second) / 2
    return np.minimum(first, between - half_gap), np.minimum(second, -between - half_gap)


def nucleus_depth(scene: Scene, places: Lattice | Points) -> Floats:
    """Return the depth below the outer nuclear membrane, nm."""
    uneven = 26 * places.value(scene.noise["outline"]) + 6 * places.value(scene.noise["ruffle"])
    return scene.nucleus.depth_nm(*places.zyx) - uneven
