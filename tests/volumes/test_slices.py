import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.errors import RefusedError
from cellmap_tui.volumes.colours import OKABE_ITO, class_colour, object_colours
from cellmap_tui.volumes.slices import HATCH_PERIOD, Layer, grey_levels, outline, render_slice, save_png

EM = np.full((12, 18), 100, np.uint8)
RED = (250, 0, 0)


def block():
    labels = np.zeros(EM.shape, np.uint8)
    labels[3:8, 4:10] = 1
    return labels


def test_em_alone_is_grey_as_stored():
    em = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = render_slice(em)
    assert rgb.shape == (16, 16, 3)
    assert rgb.dtype == np.uint8
    for channel in range(3):
        assert np.array_equal(rgb[:, :, channel], em)


def test_a_tint_is_two_fifths_of_the_colour():
    rgb = render_slice(EM, [Layer(block(), RED)])
    assert rgb[5, 5].tolist() == [160, 60, 60]
    assert rgb[0, 0].tolist() == [100, 100, 100]


def test_an_outline_leaves_the_inside_grey():
    rgb = render_slice(EM, [Layer(block(), RED)], overlay="outline")
    assert rgb[3, 4].tolist() == [250, 0, 0]
    assert rgb[5, 6].tolist() == [100, 100, 100]


def test_overlay_off_draws_em_alone():
    assert np.array_equal(render_slice(EM, [Layer(block(), RED)], overlay="off"), render_slice(EM))


def test_objects_that_touch_have_a_line_between_them():
    labels = np.ones((4, 6), np.uint16)
    labels[:, 3:] = 2
    assert outline(labels)[2].tolist() == [False, False, True, True, False, False]


def test_each_object_has_its_own_colour_where_none_is_given():
    labels = block().astype(np.uint64)
    labels[3:8, 7:10] = 2**40 + 1
    rgb = render_slice(EM, [Layer(labels, None)])
    assert rgb[5, 5].tolist() != rgb[5, 8].tolist()


def test_ids_without_a_colour_are_not_drawn():
    labels = block()
    labels[0, 0] = 9
    rgb = render_slice(EM, [Layer(labels, {1: RED})])
    assert rgb[5, 5].tolist() == [160, 60, 60]
    assert rgb[0, 0].tolist() == [100, 100, 100]


def test_unknown_is_hatched_so_that_it_shows_without_colours():
    unknown = np.zeros(EM.shape, bool)
    unknown[:, 9:] = True
    for em in (EM, np.zeros_like(EM), np.full_like(EM, 255)):
        rgb = render_slice(em, unknown=unknown)
        changed = (rgb != render_slice(em)).any(axis=2)
        assert not changed[:, :9].any()
        assert changed[:, 9:].mean() == pytest.approx(1 / HATCH_PERIOD, abs=0.05)
        difference = rgb.astype(int) - render_slice(em)
        assert (np.abs(difference[changed]) >= 75).all()
        assert (np.diff(difference[changed], axis=1) == 0).all()  # grey


def test_pixels_outside_the_em_are_dark_and_flat():
    valid = np.ones(EM.shape, bool)
    valid[0] = False
    rgb = render_slice(EM, em_valid=valid)
    assert len(np.unique(rgb[0])) == 1
    assert rgb[0, 0, 0] < 50


def test_other_dtypes_get_a_window():
    em = np.linspace(-3.0, 5.0, 400).reshape(20, 20)
    grey = grey_levels(em)
    assert (grey[0, 0], grey[-1, -1]) == (0, 255)
    assert np.all(np.diff(grey.ravel().astype(int)) >= 0)
    assert grey_levels(em, (1.0, 1.0)).max() == 255
    sixteen = grey_levels(np.array([[0, 1000, 2000]], np.uint16), (0, 2000))
    assert sixteen.tolist() == [[0, 128, 255]]


def test_nan_and_flat_em_do_not_break_the_picture():
    em = np.full((4, 4), np.nan, np.float32)
    assert grey_levels(em).shape == (4, 4)
    em[0, 0] = 3.0
    assert grey_levels(em).shape == (4, 4)
    assert grey_levels(np.zeros((4, 4), np.int16)).max() == 0


def test_a_picture_is_saved_as_png(tmp_path):
    rgb = render_slice(EM, [Layer(block(), RED)])
    save_png(tmp_path / "slice.png", rgb)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "slice.png")), rgb)
    assert [p.name for p in tmp_path.iterdir()] == ["slice.png"]


def test_the_classes_most_looked_at_have_colours_of_their_own():
    names = ["mito", "er", "nuc", "golgi", "ves", "endo", "lyso", "ld", "perox", "mt", "np", "pm", "ecs", "cell"]
    table = builtin_classes()
    colours = [class_colour(name, table.get(name).id) for name in names]
    assert len(set(colours)) == len(names)
    assert set(OKABE_ITO) <= set(colours)


def test_neighbouring_object_ids_differ():
    colours = object_colours(np.arange(1, 22, dtype=np.uint64))
    assert len(np.unique(colours, axis=0)) == 21


def test_a_picture_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RefusedError, match=r"slice\.png cannot be written: No space left on device"):
        save_png(tmp_path / "slice.png", render_slice(EM))
    assert list(tmp_path.iterdir()) == []
