from __future__ import annotations

import json
import multiprocessing

import pytest

from cellmap_tui.challenge.exclusions import exclude, include, read_exclusions
from cellmap_tui.challenge.local import add_local_crops, read_local_crops, remove_local_crops
from cellmap_tui.errors import CellmapError, DataError, RequestError
from tests.challenge.factories import make_crop, make_grid


def sidecar(root, name):
    path = root / ".cellmap-tui" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_crops_come_back_as_they_were(tmp_path):
    crops = (
        make_crop(1, class_grids=(("nuc", make_grid(32)),)),
        make_crop(2, "cell_b", (), split="test", source="demo"),
    )
    add_local_crops(tmp_path, crops)
    assert read_local_crops(tmp_path) == crops


def test_a_crop_that_is_there_already_is_replaced_and_others_stay(tmp_path):
    add_local_crops(tmp_path, [make_crop(1), make_crop(2)])
    add_local_crops(tmp_path, [make_crop(1, classes=("er",))])
    assert {crop.ref: crop.classes for crop in read_local_crops(tmp_path)} == {
        "cell_a/crop1": ("er",),
        "cell_a/crop2": ("mito", "nuc"),
    }
    remove_local_crops(tmp_path, ["cell_a/crop1"])
    assert [crop.id for crop in read_local_crops(tmp_path)] == [2]


def test_nothing_temporary_is_left_behind(tmp_path):
    add_local_crops(tmp_path, [make_crop(1)])
    assert sorted(path.name for path in (tmp_path / ".cellmap-tui").iterdir()) == ["crops.json", "lock"]


@pytest.mark.parametrize("crop", [make_crop(1, "../x"), make_crop(1, classes=("a/b",))])
def test_names_that_leave_the_root_are_not_written(tmp_path, crop):
    with pytest.raises(RequestError):
        add_local_crops(tmp_path, [crop])
    assert not (tmp_path / ".cellmap-tui").exists()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 1, "crops": {}}',
        '{"version": 1, "crops": [1]}',
        '{"version": 1, "crops": [{"id": 1}]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_local_catalog_is_named_and_not_overwritten(tmp_path, content):
    path = sidecar(tmp_path, "crops.json")
    path.write_text(content)
    with pytest.raises(DataError, match=r"crops\.json"):
        read_local_crops(tmp_path)
    if "crops" not in content or "[" not in content:
        with pytest.raises(DataError, match=r"crops\.json"):
            add_local_crops(tmp_path, [make_crop(1)])
        assert path.read_text() == content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset", ".."),
        ("dataset", 5),
        ("classes", ["../x"]),
        ("classes", None),
        ("split", "validation"),
        ("source", "elsewhere"),
        ("id", -1),
        ("id", "x"),
        ("grid", {}),
        ("grid", {"voxel_size_nm": [0, 1, 1], "translation_nm": [0, 0, 0], "shape": [1, 1, 1]}),
        ("class_grids", []),
    ],
)
def test_a_wrong_field_of_the_local_catalog_is_an_error(tmp_path, key, value):
    add_local_crops(tmp_path, [make_crop(1)])
    path = sidecar(tmp_path, "crops.json")
    content = json.loads(path.read_text())
    content["crops"][0][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="entry 0"):
        read_local_crops(tmp_path)


def test_a_file_of_a_newer_version_asks_for_an_update(tmp_path):
    sidecar(tmp_path, "crops.json").write_text('{"version": 2, "crops": []}')
    with pytest.raises(DataError, match="update cellmap-tui"):
        read_local_crops(tmp_path)


def _add(root, number):
    add_local_crops(root, [make_crop(number)])


def test_processes_that_add_at_the_same_time_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add, args=(tmp_path, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(crop.id for crop in read_local_crops(tmp_path)) == [0, 1, 2, 3]


def test_a_crop_is_excluded_with_a_reason_and_taken_in_again(tmp_path):
    crop = make_crop(1)
    assert read_exclusions(tmp_path) == {}
    exclude(tmp_path, crop, "  empty\n resin ")
    assert read_exclusions(tmp_path)[crop.ref].reason == "empty resin"
    exclude(tmp_path, crop, "torn")
    assert [exclusion.reason for exclusion in read_exclusions(tmp_path).values()] == ["torn"]
    assert include(tmp_path, crop)
    assert not include(tmp_path, crop)
    assert read_exclusions(tmp_path) == {}


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 501])
def test_an_exclusion_needs_a_reason_of_reasonable_length(tmp_path, reason):
    with pytest.raises(RequestError, match="reason"):
        exclude(tmp_path, make_crop(1), reason)


@pytest.mark.parametrize(
    "content", ["", '{"version": 1, "excluded": [{"ref": "a/crop1"}]}', '{"version": 1, "excluded": [3]}']
)
def test_damaged_exclusions_are_named(tmp_path, content):
    sidecar(tmp_path, "excluded.json").write_text(content)
    with pytest.raises(DataError, match=r"excluded\.json"):
        read_exclusions(tmp_path)


def test_a_root_that_cannot_be_written_is_a_clear_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CellmapError, match="cannot write"):
        exclude(file, make_crop(1), "why")
