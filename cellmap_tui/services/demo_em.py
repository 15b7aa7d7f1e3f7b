"""How the synthetic cell looks under the microscope: stain, texture, shading and noise.

Membranes are dark and drawn from the distance to them, so they stay smooth at any voxel size.
Mitochondria, chromatin, cytosol and dense vesicles share their greys on purpose: no threshold on
the grey value alone finds an organelle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.demo_cell import ENVELOPE_NM, Lattice
from cellmap_tui.services.demo_noise import axes_of
from cellmap_tui.services.demo_tissue import ATOMS, MEMBRANE_NM, atoms_of, depths_on

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.demo_bodies import BodyDepths
    from cellmap_tui.services.demo_cell import Scene
    from cellmap_tui.services.demo_noise import Axes, Floats
    from cellmap_tui.services.demo_tissue import Depths, Ids

_GREY = {
    "resin": 196,
    "ecs": 184,
    "pm": 160,
    "mito_mem": 150,
    "mito_lum": 146,
    "ves_mem": 150,
    "ves_lum": 178,
    "endo_mem": 170,
    "endo_lum": 176,
    "lyso_mem": 100,
    "lyso_lum": 96,
    "ld_mem": 130,
    "ld_lum": 122,
    "er_mem": 150,
    "er_lum": 177,
    "ne_mem": 150,
    "ne_lum": 174,
    "np_out": 104,
    "np_in": 132,
    "hchrom": 112,
    "echrom": 146,
    "nucpl": 166,
    "nucleo": 108,
    "cyto": 166,
}
"""Grey of each class before texture, membranes and noise, 0 (dark) to 255."""

_MEMBRANE_GREY = 62
_ER_STAIN = 0.72
"""Membranes of the endoplasmic reticulum take less stain than the others."""
_CRISTA_PERIOD_NM = 62.0


@dataclass(frozen=True, slots=True)
class Microscope:
    """Imaging conditions of one dataset."""

    gain: float
    """Contrast around mid-grey."""
    offset: float
    """Added to every grey."""
    shot_noise: float
    """Standard deviation of the noise at mid-grey."""
    shading: float
    """Amplitude of the slow brightness changes."""
    seed: tuple[int, ...]
    """Seed of the noise; each plane of voxels draws its own from it."""


def render_em(scene: Scene, grid: Grid, microscope: Microscope, first_plane: int) -> Ids:
    """Return the EM of a slab of planes, uint8 [z, y, x].

    Parameters
    ----------
    grid
        The slab.
    first_plane
        Number of the slab's first plane in its volume: the noise of a plane depends on it, not on
        how the volume is cut into slabs.
    """
    import numpy as np

    axes = axes_of(grid)
    depths = depths_on(scene, axes)
    atoms = atoms_of(scene, axes, depths, (1.0, 1.0, 1.0))
    greys = np.zeros(max(ATOMS.values()) + 1, np.float32)
    greys[[ATOMS[name] for name in _GREY]] = list(_GREY.values())
    image = greys[atoms]
    _add_texture(image, scene, axes, atoms, depths)
    stain = _stain(depths)
    image += stain * (_MEMBRANE_GREY - image)
    places = Lattice(axes)
    image += microscope.shading * places.value(scene.noise["outline"])
    image = (image - 140) * microscope.gain + 140 + microscope.offset
    for k in range(len(image)):
        _add_noise(image[k], microscope, first_plane + k)
    return image.clip(1, 255).round().astype(np.uint8)


def _add_texture(image: Floats, scene: Scene, axes: Axes, atoms: Ids, depths: Depths) -> None:
    import numpy as np

    places = Lattice(axes)
    grain = places.value(scene.noise["grain"])
    mottle = places.value(scene.noise["wobble"])
    ribosomes = (atoms == ATOMS["cyto"]) * (9 * mottle - 46 * (grain - 0.35).clip(0, 1.5))
    image += ribosomes
    granular = np.isin(atoms, [ATOMS[n] for n in ("hchrom", "echrom", "nucpl", "nucleo", "lyso_lum", "np_out")])
    image += granular * (15 * grain + 10 * mottle)
    image += (atoms == ATOMS["ecs"]) * (5 * mottle - 14 * (grain - 1.0).clip(0, 2))
    image += (atoms == ATOMS["endo_lum"]) * (-40 * (grain - 0.8).clip(0, 2))
    _add_cristae(image, scene, axes, depths.mitochondria, mottle, grain)
    dense = np.array([False, *(body.dense for body in scene.vesicles)])
    image -= 80 * (dense[depths.vesicles.index] & (atoms == ATOMS["ves_lum"]))


def _add_cristae(image: Floats, scene: Scene, axes: Axes, bodies: BodyDepths, mottle: Floats, grain: Floats) -> None:
    """Draw folded sheets across each mitochondrion, a lighter gap between two dark lines."""
    import numpy as np

    inside = bodies.depth_nm > 8
    z, y, x = np.nonzero(inside)
    if not len(z):
        return
    frames = np.array([(0, 0, 0, 0), *(body.grain for body in scene.mitochondria)], np.float32)
    frame = frames[bodies.index[inside]]
    along = axes[0][z] * frame[:, 0] + axes[1][y] * frame[:, 1] + axes[2][x] * frame[:, 2]
    phase = along * (2 * np.pi / _CRISTA_PERIOD_NM) + frame[:, 3] + 1.1 * mottle[inside]
    fold = np.cos(phase)
    depth = bodies.depth_nm[inside]
    strength = ((depth - 16) / 12).clip(0, 1) * (0.75 + 0.5 * np.sin(along / 97 + frame[:, 3] * 3)).clip(0, 1)
    lines = -70 * np.exp(-(((fold - 0.45) / 0.28) ** 2)) + 30 * np.exp(-(((fold - 1.0) / 0.22) ** 2))
    image[z, y, x] += strength * lines + 6 * grain[inside]


def _stain(depths: Depths) -> Floats:
    """Return how much membrane each voxel shows, 0 to 1."""
    import numpy as np

    stain = _line(np.maximum(*depths.cells), MEMBRANE_NM["pm"] / 2)
    stain = np.maximum(stain, _ER_STAIN * _line(depths.er, MEMBRANE_NM["er"] / 2))
    layers = (
        (depths.mitochondria.depth_nm, MEMBRANE_NM["mito"] / 2),
        (depths.vesicles.depth_nm, MEMBRANE_NM["ves"] / 2),
        (depths.others.depth_nm, MEMBRANE_NM["endo"] / 2),
    )
    for depth, middle in layers:
        stain = np.maximum(stain, _line(depth, middle))
    open_pore = np.where(depths.pore_index > 0, np.float32(0.25), np.float32(1))
    for middle in (MEMBRANE_NM["ne"] / 2, ENVELOPE_NM - MEMBRANE_NM["ne"] / 2):
        stain = np.maximum(stain, _line(depths.nucleus, middle) * open_pore)
    result: Floats = stain
    return result


def _line(depth_nm: Floats, middle_nm: float, sigma_nm: float = 5.6) -> Floats:
    import numpy as np

    return np.exp(-0.5 * ((depth_nm - middle_nm) / sigma_nm) ** 2)  # type: ignore[no-any-return]


def _add_noise(plane: Floats, microscope: Microscope, number: int) -> None:
    """Add shot noise (stronger where it is bright), a trace of line noise and this plane's drift of brightness."""
    import numpy as np

    rng: Any = np.random.default_rng([*microscope.seed, number])
    white = rng.standard_normal(plane.shape, np.float32)
    smeared = white + 0.45 * np.roll(white, 1, axis=1)
    lines = rng.standard_normal((plane.shape[0], 1), np.float32)
    drift = np.float32(rng.standard_normal())
    plane += microscope.shot_noise * (smeared * np.sqrt(np.sqrt(plane.clip(20) / 140)) + 0.12 * lines + 0.15 * drift)
