import threading

import numpy as np
import pytest

from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import DataError, MissingDataError, RequestError, Stopped, UnknownNameError
from cellmap_tui.services.slices import SliceLook, SliceRequest, SliceSource, draw_slice
from cellmap_tui.volumes.write import write_multiscale

EM = Grid((4.0,) * 3, (0.0,) * 3, (60, 80, 100))
GRID = Grid((4.0,) * 3, (40.0,) * 3, (40, 50, 60))
CROP = Crop(7, "cell", "train", GRID, ("mito", "nuc", "er"), source="demo")


def value_at(z, y, x):
    """The EM's grey value at a voxel of the crop: each axis can be told from it."""
    return 60 + (z + 10) + (y + 10) // 2 + (x + 10) // 2


@pytest.fixture
def root(tmp_path):
    z, y, x = np.indices(EM.shape)
    write_multiscale(
        tmp_path / crop_em_path(CROP), (60 + z + y // 2 + x // 2).astype(np.uint8), EM, chunks=(16, 16, 16)
    )
    mito = np.zeros(GRID.shape, np.uint8)
    mito[10:20, 10:20, 10:30] = 1
    nuc = np.zeros(GRID.shape, np.uint16)
    nuc[:, 30:, :30] = 1
    nuc[:, 30:, 30:] = 2
    for name, data in (("mito", mito), ("nuc", nuc)):
        write_multiscale(tmp_path / label_path(CROP, name), data, GRID, kind="label", chunks=(16, 16, 16))
    return tmp_path


@pytest.fixture
def source(root):
    return SliceSource(root, CROP)


def legend(image):
    return {entry.name: entry for entry in image.legend}


def test_a_slice_shows_the_em_at_the_crop_s_own_voxels(source):
    look = SliceLook(voxel=(3, 25, 30), width_px=60, height_px=50, voxels_per_pixel=1, overlay="off")
    image = source.draw(look)
    assert image.rgb.shape == (50, 60, 3)
    y, x = np.indices((50, 60))
    assert np.array_equal(image.rgb[:, :, 0], value_at(3, y, x))
    assert image.position_nm == (52.0, 140.0, 160.0)
    assert (image.index, image.count, image.nm_per_pixel) == (3, 40, 4.0)
    assert image.em_level == "s0 at 4 nm, as asked"


@pytest.mark.parametrize(("axis", "shape"), [("z", (50, 60)), ("y", (40, 60)), ("x", (40, 50))])
def test_each_axis_shows_the_other_two(source, axis, shape):
    look = SliceLook(axis=axis, voxel=(5, 6, 7), width_px=100, height_px=100, voxels_per_pixel=1, overlay="off")
    image = source.draw(look)
    assert image.rgb.shape == (*shape, 3)
    place = {"z": (5, 2, 3), "y": (2, 6, 3), "x": (2, 3, 7)}[axis]
    assert image.rgb[2, 3, 0] == value_at(*place)


def test_an_overview_reads_a_coarser_level(source):
    image = source.draw(SliceLook(width_px=15, height_px=15))
    assert image.em_level.startswith("s2 at 16 nm")
    assert image.rgb.shape == (12, 15, 3) or image.rgb.shape == (13, 15, 3)


def test_labels_lie_on_the_pixels_of_their_voxels(source):
    look = SliceLook(voxel=(15, 15, 15), width_px=60, height_px=50, voxels_per_pixel=1, classes=("mito",))
    coloured = np.ptp(source.draw(look).rgb.astype(int), axis=2) > 0
    expected = np.zeros((50, 60), bool)
    expected[10:20, 10:30] = True
    assert np.array_equal(coloured, expected)


def test_the_legend_says_what_is_where(source):
    image = source.draw(SliceLook(voxel=(15, 15, 15), width_px=60, height_px=50))
    found = legend(image)
    assert set(found) == {"mito", "nuc"}
    assert (found["mito"].state, found["mito"].value_at_voxel, found["mito"].class_id) == ("present", 1, 50)
    assert (found["nuc"].state, found["nuc"].value_at_voxel) == ("present", 0)
    assert legend(source.draw(SliceLook(voxel=(35, 15, 15))))["mito"].state == "absent"


def test_one_instance_class_alone_is_coloured_by_object(source):
    alone = source.draw(SliceLook(classes=("nuc",), width_px=60, height_px=50))
    assert legend(alone)["nuc"].colour is None
    assert alone.rgb[45, 5].tolist() != alone.rgb[45, 50].tolist()
    together = source.draw(SliceLook(classes=("nuc", "mito"), width_px=60, height_px=50))
    assert legend(together)["nuc"].colour is not None


def test_colours_can_be_given(source):
    image = source.draw(SliceLook(voxel=(15, 15, 15), classes=("mito",), colours=(("mito", (255, 0, 0)),)))
    assert legend(image)["mito"].colour == (255, 0, 0)


def test_a_class_that_was_not_annotated_is_hatched_everywhere(source):
    image = source.draw(SliceLook(classes=("ld",)))
    assert image.unknown_share == 1.0
    assert legend(image)["ld"].state == "unknown"
    assert legend(image)["ld"].value_at_voxel is None


def test_the_margin_around_a_crop_is_em_and_hatched(source):
    image = source.draw(SliceLook(margin_voxels=10, width_px=80, height_px=70, voxels_per_pixel=1))
    assert image.rgb.shape == (70, 80, 3)
    assert image.unknown_share == pytest.approx(1 - 50 * 60 / (70 * 80))
    assert image.top_left_voxel == (-10.0, -10.0)


def test_voxels_declared_unknown_are_hatched(root):
    data = np.zeros(GRID.shape, np.uint8)
    data[:, :25] = 255
    data[:, 30:35] = 1
    attributes = {"cellmap_tui": {"kind": "binary", "unknown_value": 255}}
    write_multiscale(root / label_path(CROP, "er"), data, GRID, kind="label", attributes=attributes)
    image = SliceSource(root, CROP).draw(SliceLook(classes=("er",), width_px=60, height_px=50))
    assert image.unknown_share == 0.5
    assert legend(image)["er"].state == "present"
    assert legend(image)["er"].value_at_voxel == 0


def test_many_classes_are_drawn_from_the_array_of_all_ids(root):
    names = ("mito", "nuc", "er", "pm", "ld", "ves", "golgi", "endo", "lyso")
    crop = Crop(7, "cell", "train", GRID, names)
    empty = np.zeros(GRID.shape, np.uint8)
    for name in names[2:]:
        write_multiscale(root / label_path(crop, name), empty, GRID, kind="label")
    ids = empty.copy()
    ids[:, :10] = 3
    ids[:, 40:] = 199
    write_multiscale(root / label_path(crop, "all"), ids, GRID, kind="label")
    image = SliceSource(root, crop).draw(SliceLook(voxel=(20, 5, 30), with_marks=True, width_px=60, height_px=50))
    found = legend(image)
    assert set(found) == {"mito_mem", "id 199"}
    assert (found["mito_mem"].value_at_voxel, found["id 199"].value_at_voxel) == (3, 0)
    assert found["id 199"].class_id is None
    assert {mark.name for mark in image.marks} == {"mito_mem", "id 199"}


def test_marks_are_the_centres_of_objects(source):
    look = SliceLook(
        voxel=(15, 25, 30), width_px=60, height_px=50, voxels_per_pixel=1, classes=("mito",), with_marks=True
    )
    (mark,) = source.draw(look).marks
    assert (mark.row, mark.column, mark.name) == (14, 19, "mito")


def test_levels_that_were_not_fetched_are_passed_over(root):
    import shutil

    for chunk in (root / crop_em_path(CROP) / "s0").glob("[0-9]*"):
        shutil.rmtree(chunk)
    image = SliceSource(root, CROP).draw(SliceLook(width_px=60, height_px=50, voxels_per_pixel=1, overlay="off"))
    assert image.em_level == "s1 at 8 nm, enlarged"
    assert abs(int(image.rgb[25, 30, 0]) - value_at(20, 25, 30)) <= 1


def test_em_that_was_not_fetched_here_is_told(root):
    import shutil

    for chunk in (root / crop_em_path(CROP)).glob("s*/[0-9]*"):
        shutil.rmtree(chunk)
    image = SliceSource(root, CROP).draw(SliceLook())
    assert any("not fetched" in note for note in image.notes)


def test_missing_data_say_what_to_do(root):
    with pytest.raises(MissingDataError, match=r"labels of er in cell/crop7 are not on disk.*fetch the crop"):
        SliceSource(root, CROP).draw(SliceLook(classes=("er",)))
    elsewhere = Crop(8, "other", "train", GRID, ("mito",))
    with pytest.raises(MissingDataError, match="EM of other/crop8 is not on disk"):
        SliceSource(root, elsewhere).draw(SliceLook())


def test_one_broken_class_does_not_hide_the_others(root):
    (root / label_path(CROP, "mito") / ".zattrs").write_text("{")
    image = SliceSource(root, CROP).draw(SliceLook())
    assert set(legend(image)) == {"nuc"}
    assert any(note.startswith("mito: ") and "not JSON" in note for note in image.notes)
    with pytest.raises(DataError, match="not JSON"):
        SliceSource(root, CROP).draw(SliceLook(classes=("mito",)))


@pytest.mark.parametrize(
    "look",
    [
        SliceLook(voxel=(40, 0, 0)),
        SliceLook(voxel=(0, -1, 0)),
        SliceLook(width_px=0),
        SliceLook(height_px=100_000),
        SliceLook(voxels_per_pixel=0.0),
        SliceLook(voxels_per_pixel=float("nan")),
        SliceLook(margin_voxels=-1),
        SliceLook(axis="t"),
    ],
)
def test_numbers_out_of_range_are_refused(source, look):
    with pytest.raises(RequestError):
        source.draw(look)


def test_a_class_with_a_typo_is_told_the_nearest(source):
    with pytest.raises(UnknownNameError, match="did you mean"):
        source.draw(SliceLook(classes=("mitto",)))


def test_the_same_look_is_not_drawn_twice(source, root):
    import shutil

    first = source.draw(SliceLook())
    shutil.rmtree(root / "cell")
    assert source.draw(SliceLook()) is first
    with pytest.raises(ValueError, match="read-only"):
        first.rgb[0, 0, 0] = 1


def test_a_drawing_that_nobody_wants_any_more_ends(source):
    with pytest.raises(Stopped):
        source.draw(SliceLook(), is_stale=lambda: True)
    asked = []

    def after_first():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Stopped):
        source.draw(SliceLook(), after_first)


def test_threads_share_a_source(source):
    looks = [SliceLook(voxel=(z, 25, 30)) for z in range(20)]
    pictures = {}
    threads = [
        threading.Thread(target=lambda look=look: pictures.update({look: source.draw(look)})) for look in looks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pictures[look].index for look in looks] == list(range(20))


def test_em_with_sixteen_bits_keeps_its_window_from_slice_to_slice(tmp_path):
    crop = Crop(9, "deep", "train", GRID, ())
    z = np.indices(EM.shape)[0]
    write_multiscale(tmp_path / crop_em_path(crop), (1000 * z).astype(np.uint16), EM)
    source = SliceSource(tmp_path, crop)
    greys = [int(source.draw(SliceLook(voxel=(z, 0, 0))).rgb[0, 0, 0]) for z in range(40)]
    assert greys == sorted(greys)
    assert greys[-1] - greys[0] > 200


def test_a_crop_of_thin_sections_is_not_squashed(tmp_path):
    grid = Grid((50.0, 4.0, 4.0), (0.0,) * 3, (10, 100, 125))
    crop = Crop(3, "thin", "train", grid, ())
    sections = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None] * 20, grid.shape)
    write_multiscale(tmp_path / crop_em_path(crop), np.array(sections), grid)
    image = SliceSource(tmp_path, crop).draw(SliceLook(axis="y", width_px=125, height_px=125))
    assert image.rgb.shape == (125, 125, 3)
    assert image.rgb[6, 0, 0] == 0
    assert abs(int(image.rgb[68, 0, 0]) - 100) <= 2


def test_a_picture_is_drawn_by_the_name_of_the_crop(root):
    add_local_crops(root, [CROP])
    image = draw_slice(SliceRequest(root, "cell/crop7", SliceLook(axis="x")))
    assert image.rgb.shape[2] == 3
    with pytest.raises(UnknownNameError):
        draw_slice(SliceRequest(root, "cell/crop8"))
