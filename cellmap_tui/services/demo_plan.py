"""What the demo consists of: datasets, crops and which classes are annotated where.

The plan is the same in both sizes; ``tiny`` halves every axis. Crops have numbers that no crop of
the challenge has. Test crops lie in planes that no training crop reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.crops import Split
    from cellmap_tui.challenge.grid import Shape3, Vec3

Size = Literal["small", "tiny"]

ENDOPLASMIC = ("er_mem", "er_lum", "er", "er_mem_all")
ENVELOPE = ("ne_mem", "ne_lum", "np_out", "np_in", "ne", "np", "ne_mem_all")
NUCLEAR = (*ENVELOPE, "hchrom", "echrom", "nucpl", "nuc", "chrom")
SMALL_BODIES = ("endo_mem", "endo_lum", "lyso_mem", "lyso_lum", "ld_mem", "ld_lum", "endo", "lyso", "ld")
PEROXISOMES = ("perox_mem", "perox_lum", "perox")
"""Annotated, and empty in every crop: the synthetic cell has none."""
MAIN = ("ecs", "pm", "mito_mem", "mito_lum", "ves_mem", "ves_lum", "cyto", "ves", "mito", "cell")
# Two groups that overlap without one holding the other, such as er and nuc, are annotated together only where the
# members they share are too: `all` has room for one id.
EVERYTHING = (*MAIN, *ENDOPLASMIC, *NUCLEAR, *SMALL_BODIES, *PEROXISOMES)
ABSENT = (
    "mito_ribo",
    "golgi_mem",
    "golgi_lum",
    "golgi",
    "eres_mem",
    "eres_lum",
    "eres",
    "mt_out",
    "mt_in",
    "mt",
)
"""Scored classes that the synthetic cell has nothing of."""


@dataclass(frozen=True, slots=True)
class CropPlan:
    """One crop, placed in voxels of the EM of the small size."""

    id: int
    voxel_size_nm: Vec3
    start: Shape3
    """First EM voxel; the crop's lower edge is that voxel's lower edge."""
    shape: Shape3
    """Voxels of the labels."""
    classes: tuple[str, ...]
    split: Split = "train"


@dataclass(frozen=True)
class DatasetPlan:
    """One dataset of the demo."""

    name: str
    number: int
    """Tells the random numbers of the datasets apart."""
    em_grid: Grid
    crops: tuple[Crop, ...]
    mirrored: bool
    contrast: tuple[float, float, float, float]
    """Gain, offset, shot noise and shading of the imaging."""
    density: float
    """Number of organelles relative to the first dataset at the small size."""
    body_scale: float
    """Size of the large organelles relative to life; the tiny volume has little room."""

    @cached_property
    def training(self) -> tuple[Crop, ...]:
        """The training crops."""
        return tuple(crop for crop in self.crops if crop.split == "train")

    @cached_property
    def test(self) -> tuple[Crop, ...]:
        """The test crops."""
        return tuple(crop for crop in self.crops if crop.split == "test")


_ISO_8: Vec3 = (8.0, 8.0, 8.0)
_FLAT_8: Vec3 = (10.48, 8.0, 8.0)

_FIRST = (
    CropPlan(9001, _ISO_8, (24, 100, 96), (96, 128, 128), (*EVERYTHING, *ABSENT)),
    CropPlan(9002, _ISO_8, (40, 8, 116), (80, 96, 112), tuple(c for c in EVERYTHING if c not in ENDOPLASMIC)),
    CropPlan(9003, (16.0, 16.0, 16.0), (14, 96, 16), (52, 72, 72), (*MAIN, *ENDOPLASMIC, *ENVELOPE, "nuc")),
    CropPlan(9004, (4.0, 4.0, 4.0), (80, 24, 8), (64, 96, 96), (*MAIN, *ENDOPLASMIC, *PEROXISOMES)),
    CropPlan(9005, (32.0, 32.0, 32.0), (4, 8, 8), (30, 56, 56), ("nuc", "mito", "cell")),
    CropPlan(9006, _ISO_8, (32, 201, 201), (64, 54, 54), (*MAIN, *ENDOPLASMIC, *PEROXISOMES, "nuc")),
    CropPlan(9101, _ISO_8, (128, 72, 64), (64, 112, 112), EVERYTHING, "test"),
)

_SECOND = (
    CropPlan(9011, _FLAT_8, (28, 108, 40), (60, 112, 112), EVERYTHING),
    CropPlan(9012, _FLAT_8, (8, 8, 8), (56, 96, 112), (*MAIN, *ENDOPLASMIC, *PEROXISOMES)),
    CropPlan(9013, _ISO_8, (20, 112, 136), (80, 96, 96), (*MAIN, *ENDOPLASMIC, *ENVELOPE, "nuc", *SMALL_BODIES)),
    CropPlan(9014, (16.0, 16.0, 16.0), (4, 72, 88), (48, 72, 72), ("mito", "ves", "nuc", "cell", "perox")),
    CropPlan(9015, (20.96, 16.0, 16.0), (6, 100, 16), (44, 64, 64), ("mito",)),
    CropPlan(9102, _FLAT_8, (96, 64, 64), (48, 112, 112), EVERYTHING, "test"),
)


def demo_plan(size: Size) -> tuple[DatasetPlan, ...]:
    """Return the datasets of the demo in the order in which they are made."""
    halving = 2 if size == "tiny" else 1
    first = _em_grid(_ISO_8, (1200.0, 800.0, 400.0), (192, 256, 256), halving)
    second = _em_grid(_FLAT_8, (0.0, 3000.0, 2000.0), (144, 240, 240), halving)
    density = 1.0 / halving**2
    body_scale = 0.7 if size == "tiny" else 1.0
    return (
        DatasetPlan(
            name="demo_cell-1",
            number=1,
            em_grid=first,
            crops=_crops("demo_cell-1", first, _FIRST, halving),
            mirrored=False,
            contrast=(1.0, 0.0, 16.0, 7.0),
            density=density,
            body_scale=body_scale,
        ),
        DatasetPlan(
            name="demo_cell-2",
            number=2,
            em_grid=second,
            crops=_crops("demo_cell-2", second, _SECOND, halving),
            mirrored=True,
            contrast=(0.9, 8.0, 16.0, 10.0),
            density=0.85 * density,
            body_scale=body_scale,
        ),
    )


def _em_grid(voxel_size_nm: Vec3, lower_nm: Vec3, shape: Shape3, halving: int) -> Grid:
    z, y, x = (round(low + size / 2, 6) for low, size in zip(lower_nm, voxel_size_nm, strict=True))
    return Grid(voxel_size_nm, (z, y, x), _divided(shape, halving))


def _crops(dataset: str, em: Grid, plans: Iterable[CropPlan], halving: int) -> tuple[Crop, ...]:
    from cellmap_tui.challenge.classes import builtin_classes

    order = builtin_classes().order
    return tuple(
        Crop(
            plan.id,
            dataset,
            plan.split,
            _label_grid(em, plan, halving),
            tuple(sorted(plan.classes, key=order)),
            source="demo",
        )
        for plan in plans
    )


def _label_grid(em: Grid, plan: CropPlan, halving: int) -> Grid:
    """Place a crop so that its edges lie on edges of EM voxels: other voxel sizes start half a difference off."""
    start = _divided(plan.start, halving)
    z, y, x = (
        round(low + k * em_size + size / 2, 6)
        for low, k, em_size, size in zip(em.lower_nm, start, em.voxel_size_nm, plan.voxel_size_nm, strict=True)
    )
    return Grid(plan.voxel_size_nm, (z, y, x), _divided(plan.shape, halving))


def _divided(shape: Shape3, halving: int) -> Shape3:
    z, y, x = (n // halving for n in shape)
    return (z, y, x)
