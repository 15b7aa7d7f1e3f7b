"""The synthetic cell itself: deterministic, the same at every voxel size, and hard at its full size."""

from __future__ import annotations

import numpy as np
import pytest

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.services.demo_em import Microscope, render_em
from cellmap_tui.services.demo_labels import CropLabels
from cellmap_tui.services.demo_noise import NoiseField, axes_of, noise_field
from cellmap_tui.services.demo_plan import demo_plan
from cellmap_tui.services.demo_tissue import ATOMS
from cellmap_tui.services.demo_units import Sample
from tests.services.test_demo_data import best_threshold_dice, touching

BOX = Grid((8.0, 8.0, 8.0), (104.0, 204.0, 304.0), (20, 24, 28))


@pytest.fixture(scope="module")
def tiny() -> Sample:
    return Sample(demo_plan("tiny")[0], 0, lambda: None)


@pytest.fixture(scope="module")
def field() -> NoiseField:
    return noise_field(Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (60, 60, 60)), 40.0, np.random.default_rng(1))


def part(grid: Grid, start: int, depth: int) -> Grid:
    z, y, x = grid.translation_nm
    return Grid(grid.voxel_size_nm, (z + start * grid.voxel_size_nm[0], y, x), (depth, *grid.shape[1:]))


def test_every_atomic_class_of_the_cell_stands_in_the_class_table_with_that_id() -> None:
    table = builtin_classes()
    assert {name: table.get(name).id for name in ATOMS if name != "resin"} == {
        name: class_id for name, class_id in ATOMS.items() if name != "resin"
    }


def test_a_noise_field_has_the_same_value_on_a_lattice_and_at_points(field: NoiseField) -> None:
    axes = axes_of(BOX)
    lattice = field.on(axes)
    where = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    assert np.allclose(field.at(where).reshape(lattice.shape), lattice, atol=1e-5)


def test_a_noise_field_has_zero_mean_and_unit_variance_and_no_jumps(field: NoiseField) -> None:
    values = field.on(axes_of(Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (60, 60, 60))))
    assert abs(values.mean()) < 0.2
    assert 0.8 < values.std() < 1.2
    assert max(np.abs(np.diff(values, axis=axis)).max() for axis in range(3)) < 1.2


def test_em_does_not_depend_on_how_it_is_cut_into_slabs(tiny: Sample) -> None:
    grid = tiny.plan.em_grid
    microscope = Microscope(1.0, 0.0, 16.0, 7.0, (0, 1))
    whole = render_em(tiny.scene, part(grid, 40, 6), microscope, 40)
    cut = [render_em(tiny.scene, part(grid, 40 + k, 2), microscope, 40 + k) for k in (0, 2, 4)]
    assert np.array_equal(np.concatenate(cut), whole)


def test_labels_of_one_place_agree_across_voxel_sizes(tiny: Sample) -> None:
    """At 4 and 12 nm on common centres; membranes are at least one voxel thick, so only bodies are compared."""
    z, y, x = (t + 300.0 for t in tiny.plan.em_grid.translation_nm)
    fine = CropLabels(tiny.scene, Grid((4.0, 4.0, 4.0), (z, y, x), (60, 60, 60)), builtin_classes())
    coarse = CropLabels(tiny.scene, Grid((12.0, 12.0, 12.0), (z, y, x), (20, 20, 20)), builtin_classes())
    for name in ("mito", "ves", "cell", "nuc"):
        assert np.array_equal(fine.array(name)[::3, ::3, ::3], coarse.array(name))


def test_bodies_of_one_class_do_not_overlap_and_keep_a_membrane_where_they_touch(tiny: Sample) -> None:
    labels = CropLabels(tiny.scene, tiny.plan.em_grid, builtin_classes())
    mito = labels.array("mito")
    lumen = labels.array("mito_lum") > 0
    for axis in range(3):
        here, there = np.swapaxes(mito, 0, axis)[:-1], np.swapaxes(mito, 0, axis)[1:]
        in_lumen = np.swapaxes(lumen, 0, axis)
        contact = (here > 0) & (there > 0) & (here != there)
        assert not (contact & in_lumen[:-1] & in_lumen[1:]).any()


@pytest.mark.slow
def test_the_full_size_is_hard_too() -> None:
    """Threshold Dice per class and touching shares, pooled over all crops of both datasets, as for the tiny size."""
    members = {"nuc": range(20, 30), "mito": range(3, 6), "er": range(16, 24)}
    greys = {name: np.zeros((2, 256)) for name in members}
    counts = {name: np.zeros(2) for name in ("mito", "ves")}
    for plan in demo_plan("small"):
        sample = Sample(plan, 0, lambda: None)
        microscope = Microscope(*plan.contrast, (0, plan.number))
        for crop in plan.crops:
            labels = CropLabels(sample.scene, crop.grid, builtin_classes())
            em = render_em(sample.scene, crop.grid, microscope, 0)
            for name in set(members) & set(crop.classes):
                mask = np.isin(labels.atoms, members[name])
                greys[name] += [np.bincount(em[mask], minlength=256), np.bincount(em[~mask], minlength=256)]
            for name in set(counts) & set(crop.classes):
                counts[name] += touching(labels.array(name))
    for name, histograms in greys.items():
        assert best_threshold_dice(*histograms) < 0.5, name
    for name, (objects, touch) in counts.items():
        assert objects > 100
        assert touch / objects >= 0.3, name
