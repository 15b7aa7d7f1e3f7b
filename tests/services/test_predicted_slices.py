"""Slices with predictions, processed predictions and errors over them."""

import numpy as np
import pytest

from cellmap_tui.challenge.catalog import load_catalog
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.challenge.layout import crop_em_path, label_path
from cellmap_tui.challenge.local import add_local_crops
from cellmap_tui.errors import DataError, MissingDataError, RequestError, UnknownNameError
from cellmap_tui.services.find_object import find_place
from cellmap_tui.services.predicted_folder import PredictedFolder, has_predictions, open_predictions
from cellmap_tui.services.slices import SliceLook, SliceRequest, SliceSource, draw_slice, find_predicted
from cellmap_tui.volumes.comparison import ERROR_COLOURS, FN, FP, PREDICTED_OUTLINE, TP
from cellmap_tui.volumes.write import write_array, write_multiscale

GRID = Grid((4.0,) * 3, (40.0,) * 3, (20, 50, 60))
CROP = Crop(7, "cell", "train", GRID, ("mito", "nuc"), source="demo")
LOOK = SliceLook(voxel=(10, 25, 30), width_px=60, height_px=50, voxels_per_pixel=1, classes=("mito",))


def box(values, dtype=np.uint8):
    """Labels with boxes of rows, columns and a value."""
    labels = np.zeros(GRID.shape, dtype)
    for rows, columns, value in values:
        labels[:, slice(*rows), slice(*columns)] = value
    return labels


@pytest.fixture
def root(tmp_path):
    write_multiscale(tmp_path / crop_em_path(CROP), np.full(GRID.shape, 100, np.uint8), GRID)
    mito = box([((10, 20), (10, 20), 1), ((30, 40), (10, 20), 2)], np.uint16)
    for name, data in (("mito", mito), ("nuc", box([((0, 5), (0, 60), 1)]))):
        write_multiscale(tmp_path / label_path(CROP, name), data, GRID, kind="label")
    predicted = box([((10, 20), (15, 25), 1.0), ((0, 2), (0, 2), 0.4)], np.float32)
    write_array(tmp_path / "predictions" / "cell.zarr" / "crop7" / "mito", predicted, GRID)
    ids = box([((10, 20), (10, 25), 5), ((30, 40), (10, 20), 9)], np.uint16)
    write_array(tmp_path / "processed" / "cell.zarr" / "crop7" / "mito", ids, GRID)
    add_local_crops(tmp_path, [CROP])
    return tmp_path


def drawn(root, look, **named):
    return draw_slice(SliceRequest(root, "cell/7", look, **named))


def of(look, **changes):
    from dataclasses import replace

    return replace(look, **changes)


def where(image, colour):
    return (image.rgb == np.array(colour)).all(axis=2)


def test_predictions_below_the_data_root_are_found_and_probabilities_are_cut_at_one_half(root):
    image = drawn(root, of(LOOK, kinds=("predictions",)))
    coloured = np.ptp(image.rgb.astype(int), axis=2) > 0
    expected = np.zeros((50, 60), bool)
    expected[10:20, 15:25] = True
    assert np.array_equal(coloured, expected)
    assert [(entry.name, entry.kind, entry.state) for entry in image.legend] == [("mito", "predictions", "present")]


def test_a_threshold_moves_the_cut(root):
    image = drawn(root, of(LOOK, kinds=("predictions",), threshold=0.3))
    assert np.ptp(image.rgb[0, 0].astype(int)) > 0


def test_predictions_over_the_truth_are_bright_outlines(root):
    image = drawn(root, of(LOOK, kinds=("gt", "predictions")))
    outline = where(image, PREDICTED_OUTLINE)
    assert outline.sum() == 36
    assert outline[10, 15]
    assert not outline[12, 18]
    assert [entry.kind for entry in image.legend] == ["gt", "predictions"]


def test_without_a_class_the_truth_shows_the_classes_that_are_predicted(root):
    image = drawn(root, of(LOOK, classes=(), kinds=("gt", "predictions")))
    assert {entry.name for entry in image.legend} == {"mito"}


def test_objects_of_processed_predictions_have_colours_of_their_own(root):
    image = drawn(root, of(LOOK, kinds=("processed",)))
    assert image.legend[0].colour is None
    assert image.rgb[15, 15].tolist() != image.rgb[35, 15].tolist()


def test_errors_are_exactly_where_truth_and_prediction_differ(root):
    image = drawn(root, of(LOOK, kinds=("error",), opacity=1.0), predictions=str(root / "predictions"))
    for code, box_of in ((TP, (10, 20, 15, 20)), (FP, (10, 20, 20, 25))):
        expected = np.zeros((50, 60), bool)
        expected[box_of[0] : box_of[1], box_of[2] : box_of[3]] = True
        assert np.array_equal(where(image, ERROR_COLOURS[code]), expected), code
    missed = where(image, ERROR_COLOURS[FN])
    assert missed[10:20, 10:15].all()
    assert missed[30:40, 10:20].all()
    assert missed.sum() == 50 + 100
    assert image.facts == ("mito: Dice 0.33 in this picture",)


def test_errors_are_those_of_processed_predictions_where_there_are_some(root):
    image = drawn(root, of(LOOK, kinds=("error",), opacity=1.0))
    assert not where(image, ERROR_COLOURS[FN]).any()
    assert where(image, ERROR_COLOURS[FP]).sum() == 50


def test_where_the_truth_is_unknown_there_is_no_error_and_a_hatch(root):
    truth = box([((10, 20), (10, 20), 1)])
    truth[:, 25:] = 255
    attributes = {"cellmap_tui": {"kind": "binary", "unknown_value": 255}}
    write_multiscale(
        root / label_path(CROP, "mito"), truth, GRID, kind="label", attributes=attributes, overwrite=True
    )
    image = drawn(root, of(LOOK, kinds=("error",)))
    assert image.unknown_share == 0.5


def test_a_prediction_elsewhere_is_placed_as_the_scorer_places_it(root, tmp_path):
    other = Grid((8.0,) * 3, (40.0,) * 3, (10, 25, 30))
    labels = np.zeros(other.shape, np.uint16)
    labels[:, 5:10, 5:10] = 3
    write_array(tmp_path / "else" / "crop7" / "mito", labels, other)
    image = drawn(root, of(LOOK, kinds=("predictions",)), predictions=str(tmp_path / "else"))
    coloured = np.ptp(image.rgb.astype(int), axis=2) > 0
    assert coloured[12:18, 12:18].all()
    assert coloured.sum() == 100


def test_a_template_may_name_the_label(root):
    template = str(root / "processed" / "{dataset}.zarr" / "{crop}" / "{label}")
    assert open_predictions(template, CROP, root).classes == ("mito",)


def test_a_zip_is_read_in_place(root, tmp_path):
    import shutil

    folder = tmp_path / "submission" / "submission.zarr"
    shutil.copytree(root / "processed" / "cell.zarr" / "crop7", folder / "crop7")
    for group in (folder, folder / "crop7"):
        (group / ".zgroup").write_text('{"zarr_format": 2}')
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    image = drawn(root, of(LOOK, kinds=("processed",)), processed=packed)
    assert image.legend[0].state == "present"


def test_a_stack_of_one_class_is_copied_and_drawn(root, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLMAP_TUI_STATE_DIR", str(tmp_path / "state"))
    np.save(tmp_path / "mito.npy", box([((10, 20), (15, 25), 1)]))
    image = drawn(root, of(LOOK, kinds=("predictions",)), predictions=str(tmp_path / "mito.npy"))
    assert image.legend[0].state == "present"


def test_predictions_that_are_nowhere_say_where_they_are_expected(root):
    with pytest.raises(MissingDataError, match=r"nowhere has no prediction of cell/crop7.*cell.zarr/crop7"):
        drawn(root, of(LOOK, kinds=("predictions",)), predictions=str(root / "nowhere"))
    assert not has_predictions(str(root / "nowhere"), CROP)


def test_one_broken_prediction_becomes_a_note(root):
    (root / "predictions" / "cell.zarr" / "crop7" / "mito" / "0" / "0" / "0").write_bytes(b"rubbish")
    image = drawn(root, of(LOOK, kinds=("gt", "predictions")))
    assert any(note.startswith("mito, predictions: ") for note in image.notes)
    with pytest.raises(DataError):
        PredictedFolder(str(root / "predictions"), CROP, root).prediction("mito", _whole_plane())


def _whole_plane():
    from cellmap_tui.volumes.planes import PixelPlane

    return PixelPlane(0, 40.0, [40.0 + 4 * i for i in range(50)], [40.0 + 4 * i for i in range(60)])


@pytest.mark.parametrize("look", [of(LOOK, opacity=1.5), of(LOOK, kinds=("truth",))])
def test_an_opacity_or_kind_that_does_not_exist_is_refused(root, look):
    with pytest.raises(RequestError):
        SliceSource(root, CROP).draw(look)


def test_only_what_a_look_needs_is_opened(root):
    assert find_predicted(root, CROP, LOOK, {}) == {}
    assert set(find_predicted(root, CROP, of(LOOK, kinds=("gt", "predictions")), {})) == {"predictions"}
    assert set(find_predicted(root, CROP, of(LOOK, kinds=("error",)), {})) == {"processed"}


@pytest.mark.parametrize(
    ("wish", "voxel"),
    [
        ("3 4 5", (3, 4, 5)),
        ("3,4,5", (3, 4, 5)),
        ("52 56 60 nm", (3, 4, 5)),
        ("z 12", (12, 1, 1)),
        ("x=7", (1, 1, 7)),
        ("mito 2", (0, 34, 14)),
        ("mito", (0, 24, 14)),
        ("#2", (0, 34, 14)),
    ],
)
def test_words_lead_to_places(root, wish, voxel):
    place = find_place(wish, CROP, root, load_catalog(data_root=root), at=(1, 1, 1), class_name="mito")
    if wish == "mito":  # the middle of two boxes is in neither: a voxel of one of them
        assert place.voxel[1] in {19, 30}
        assert place.words == "mito: 4 000 voxels"
    else:
        assert max(abs(a - b) for a, b in zip(place.voxel, voxel, strict=True)) <= 1


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ("3 4 99", RequestError, "outside cell/crop7"),
        ("1 2 3 nm", RequestError, "outside the crop"),
        ("z 20", RequestError, "no slice z 20"),
        ("mito 77", MissingDataError, "mito 77 is not in"),
        ("mitto 7", UnknownNameError, "did you mean"),
        ("7", RequestError, "of which class"),
        ("what is this", RequestError, "is no place"),
        ("er", MissingDataError, "no labels of er"),
    ],
)
def test_a_place_that_is_none_says_why(root, wish, error, words):
    with pytest.raises(error, match=words):
        find_place(wish, CROP, root, load_catalog(data_root=root), at=(1, 1, 1))
