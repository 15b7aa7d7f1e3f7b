import json

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import CellmapError, DataError, MissingDataError
from cellmap_tui.volumes.geometry import whole
from cellmap_tui.volumes.ngff import open_multiscale, open_volume
from cellmap_tui.volumes.read import read_box

from .builders import write_group, zarray, zattrs

ONE_LEVEL = [("s0", [8, 4, 4], [100, 0, -2])]


def changed(value, *path):
    """Attributes with one value replaced, or removed if it is `...`."""
    attributes = zattrs(ONE_LEVEL)
    at = attributes
    for name in path[:-1]:
        at = at[name]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return attributes


def test_scale_and_translation_of_each_level_are_read(tmp_path):
    levels = [("s0", [8, 4, 4], [100, 0, -2]), ("s1", [16, 8, 8], [104, 2, 0])]
    write_group(tmp_path, zattrs(levels), {"s0": zarray(), "s1": zarray((2, 2, 2), dtype="<u2")})
    volume = open_multiscale(tmp_path)
    assert [level.name for level in volume.levels] == ["s0", "s1"]
    assert volume.finest.grid == Grid((8.0, 4.0, 4.0), (100.0, 0.0, -2.0), (4, 4, 4))
    assert volume.levels[1].grid == Grid((16.0, 8.0, 8.0), (104.0, 2.0, 0.0), (2, 2, 2))
    assert volume.level("s1").dtype == np.dtype("<u2")
    assert volume.finest.chunks == (2, 2, 2)
    with pytest.raises(MissingDataError, match="it has s0, s1"):
        volume.level("s7")


def test_levels_come_finest_first_whatever_their_order_in_the_file(tmp_path):
    levels = [("s1", [16, 8, 8], None), ("s0", [8, 4, 4], None)]
    write_group(tmp_path, zattrs(levels), {"s0": zarray(), "s1": zarray((2, 2, 2))})
    assert [level.name for level in open_multiscale(tmp_path).levels] == ["s0", "s1"]


def test_a_missing_translation_is_zero(tmp_path):
    write_group(tmp_path, zattrs([("s0", [8, 4, 4], None)]), {"s0": zarray()})
    assert open_multiscale(tmp_path).finest.grid.translation_nm == (0.0, 0.0, 0.0)


def test_transformations_of_the_whole_multiscale_come_after_those_of_the_level(tmp_path):
    around = [{"type": "scale", "scale": [2, 2, 2]}, {"type": "translation", "translation": [1, 2, 3]}]
    attributes = zattrs(ONE_LEVEL, coordinateTransformations=around)
    write_group(tmp_path, attributes, {"s0": zarray()})
    grid = open_multiscale(tmp_path).finest.grid
    assert grid.voxel_size_nm == (16.0, 8.0, 8.0)
    assert grid.translation_nm == (201.0, 2.0, -1.0)


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [
        ("micrometer", 0.00524, 5.24),
        ("micrometer", 0.004, 4.0),
        ("angstrom", 40, 4.0),
        ("nanometer", 4, 4.0),
        ("Nanometers", 4, 4.0),
        (None, 4, 4.0),
    ],
)
def test_units_become_nanometres(tmp_path, unit, scale, expected):
    attributes = zattrs([("s0", [scale] * 3, [scale] * 3)])
    attributes["multiscales"][0]["axes"] = [{"name": name, "type": "space", "unit": unit} for name in "zyx"]
    write_group(tmp_path, attributes, {"s0": zarray()})
    assert open_multiscale(tmp_path).finest.grid == Grid((expected,) * 3, (expected,) * 3, (4, 4, 4))


@pytest.mark.parametrize("separator", [".", "/", None])
def test_chunks_are_found_with_either_separator(tmp_path, separator):
    more = {} if separator is None else {"dimension_separator": separator}
    write_group(tmp_path, zattrs(ONE_LEVEL), {"s0": zarray(**more)})
    chunk = tmp_path / "s0" / (separator or ".").join("101")
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.write_bytes(bytes(range(8)))
    level = open_multiscale(tmp_path).finest
    array, _ = read_box(level, whole(level.grid))
    assert array[2:, :2, 2:].ravel().tolist() == list(range(8))
    assert array.sum() == sum(range(8))


BROKEN_ATTRIBUTES = [
    ("not JSON", "{", "not JSON"),
    ("bytes that are no text", "\ud800", "not JSON"),
    ("a list", "[1]", "must be a JSON object"),
    ("nested too deeply", "[" * 100_000, "nested too deeply"),
    ("no multiscales", {}, "'multiscales' is missing"),
    ("empty multiscales", changed([], "multiscales"), "multiscales: is empty"),
    ("multiscales no list", changed({"a": 1}, "multiscales"), "multiscales: must be a list"),
    ("a multiscale that is text", changed("x", "multiscales", 0), r"multiscales\[0\]: must be an object"),
    ("no axes", changed(..., "multiscales", 0, "axes"), "'axes' is missing"),
    ("no datasets", changed(..., "multiscales", 0, "datasets"), "'datasets' is missing"),
    ("empty datasets", changed([], "multiscales", 0, "datasets"), "names no level"),
    ("no level path", changed(..., "multiscales", 0, "datasets", 0, "path"), "'path' is missing"),
    ("a number as path", changed(3, "multiscales", 0, "datasets", 0, "path"), "path: must be text, not 3"),
    ("no transformations", changed(..., "multiscales", 0, "datasets", 0, "coordinateTransformations"), "is missing"),
    ("no scale", changed([], "multiscales", 0, "datasets", 0, "coordinateTransformations"), "has no scale"),
]
SCALE = ("multiscales", 0, "datasets", 0, "coordinateTransformations", 0, "scale")
TRANSLATION = ("multiscales", 0, "datasets", 0, "coordinateTransformations", 1, "translation")
KIND = ("multiscales", 0, "datasets", 0, "coordinateTransformations", 0, "type")
BROKEN_ATTRIBUTES += [
    ("two scales", changed([4, 4], *SCALE), r"\.scale: must have 3 values"),
    ("a scale of text", changed(["4", 4, 4], *SCALE), r"scale\[0\]: must be a number"),
    ("a true scale", changed([True, 4, 4], *SCALE), r"scale\[0\]: must be a number"),
    ("a negative scale", changed([-4, 4, 4], *SCALE), "above 0"),
    ("a zero scale", changed([0, 4, 4], *SCALE), "above 0"),
    ("a NaN scale", changed([float("nan"), 4, 4], *SCALE), "finite"),
    ("an endless scale", changed([float("inf"), 4, 4], *SCALE), "finite"),
    ("a huge scale", changed([10**400, 4, 4], *SCALE), "finite"),
    ("a scale that is text", changed("4", *SCALE), "must be a list"),
    ("a NaN translation", changed([0, float("nan"), 0], *TRANSLATION), r"translation\[1\]: must be a finite"),
    ("five translations", changed([0] * 5, *TRANSLATION), "must have 3 values"),
    ("a rotation", changed("rotation", *KIND), "type: must be scale or translation"),
    ("level paths that climb", changed("../s0", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("absolute level paths", changed("/etc", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("an empty level path", changed("", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("a dot as level path", changed(".", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("a hidden climb", changed("a/../../s0", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("a NUL in a level path", changed("s\0", "multiscales", 0, "datasets", 0, "path"), "not a plain path"),
    ("a level that is not there", changed("s9", "multiscales", 0, "datasets", 0, "path"), "has no .zarray"),
    ("x, y, z", changed([{"name": n} for n in "xyz"], "multiscales", 0, "axes"), "must be z, y, x in this order"),
    ("two axes", changed([{"name": n} for n in "yx"], "multiscales", 0, "axes"), "must be z, y, x in this order"),
    ("old axes", changed(list("zyx"), "multiscales", 0, "axes"), r"axes\[0\]: must be an object"),
    (
        "a channel",
        changed([{"name": "c", "type": "channel"}, *({"name": n} for n in "zyx")], "multiscales", 0, "axes"),
        "axis 'c' is of type 'channel'",
    ),
    ("parsecs", changed("parsec", "multiscales", 0, "axes", 2, "unit"), r"axes\[2\].unit: unknown unit"),
]


@pytest.mark.parametrize(
    ("attributes", "told"), [case[1:] for case in BROKEN_ATTRIBUTES], ids=[case[0] for case in BROKEN_ATTRIBUTES]
)
def test_broken_attributes_are_told_with_file_and_key(tmp_path, attributes, told):
    if attributes == "\ud800":
        write_group(tmp_path, "", {"s0": zarray()})
        (tmp_path / ".zattrs").write_bytes(b"\xff\xfe\xff")
    else:
        write_group(tmp_path, attributes, {"s0": zarray()})
    with pytest.raises(DataError, match=told) as caught:
        open_multiscale(tmp_path)
    assert str(tmp_path / ".zattrs") in caught.value.message


BROKEN_ARRAYS = [
    ("not JSON", "no", "not JSON"),
    ("version 3", zarray(zarr_format=3), "zarr_format: is Zarr v3"),
    ("no version", "{}", "'zarr_format' is missing"),
    ("four axes", zarray((1, 4, 4, 4)), "shape: must have 3 values"),
    ("no voxels", zarray((0, 4, 4)), "shape: must be three whole numbers of at least 1"),
    ("half voxels", zarray((1.5, 4, 4)), "shape[0]: must be a whole number"),
    ("no chunk shape", json.dumps({**zarray(), "chunks": None}), "chunks: must be a list"),
    ("empty chunks", zarray(chunks=(0, 2, 2)), "chunks: must be three whole numbers of at least 1"),
    ("giant chunks", zarray(chunks=(10**6,) * 3), "larger than 2 GiB"),
    ("objects", zarray(dtype="|O"), "dtype '|O' is not numeric"),
    ("text", zarray(dtype="<U8"), "not numeric"),
    ("complex numbers", zarray(dtype="<c8"), "not numeric"),
    ("records", zarray(dtype=[["a", "<u1"]]), "dtype: must be text"),
    ("an unknown dtype", zarray(dtype="banana"), "unknown dtype"),
    ("a wrong separator", zarray(dimension_separator="-"), "dimension_separator: must be"),
    ("a fill value of text", zarray(fill_value="none"), "fill_value: must be a number"),
]


@pytest.mark.parametrize(("array", "told"), [case[1:] for case in BROKEN_ARRAYS], ids=[c[0] for c in BROKEN_ARRAYS])
def test_a_broken_array_is_told_with_file_and_key(tmp_path, array, told):
    write_group(tmp_path, zattrs(ONE_LEVEL), {"s0": array})
    with pytest.raises(DataError) as caught:
        open_multiscale(tmp_path)
    assert told in caught.value.message
    assert str(tmp_path / "s0" / ".zarray") in caught.value.message


def test_nothing_there_is_missing_and_not_broken(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist"):
        open_volume(tmp_path / "nothing")


def test_foreign_folders_are_named_for_what_they_are(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "n5").mkdir()
    (tmp_path / "n5" / "attributes.json").write_text("{}")
    zarr.create_group(tmp_path / "v3", zarr_format=3)
    write_group(tmp_path / "mixed", zattrs(ONE_LEVEL), {})
    zarr.create_array(tmp_path / "mixed" / "s0", shape=(4, 4, 4), dtype="u1", zarr_format=3)
    for name, told in [
        ("file", "is a file"),
        ("empty", "not a Zarr group or array"),
        ("n5", "is N5"),
        ("v3", "is Zarr v3"),
        ("mixed", r"has no .zarray \(Zarr v3\)"),
    ]:
        with pytest.raises(DataError, match=told):
            open_volume(tmp_path / name)


def test_a_group_without_attributes_names_the_missing_file(tmp_path):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(DataError, match=r"\.zattrs is missing"):
        open_volume(tmp_path)


def test_a_level_never_leads_out_of_its_group_not_even_by_a_link(tmp_path):
    write_group(tmp_path / "elsewhere", {}, {"s0": zarray()})
    write_group(tmp_path / "group", zattrs(ONE_LEVEL), {})
    (tmp_path / "group" / "s0").symlink_to(tmp_path / "elsewhere" / "s0")
    with pytest.raises(DataError, match="leads out of the group"):
        open_multiscale(tmp_path / "group")


@pytest.mark.parametrize("size_key", ["voxel_size", "resolution", "scale"])
@pytest.mark.parametrize("place_key", ["translation", "offset", None])
def test_plain_arrays_have_their_place_in_their_attributes(tmp_path, size_key, place_key):
    attributes = {size_key: [8, 4, 4], **({place_key: [1, 2, 3]} if place_key else {})}
    write_group(tmp_path, "{}", {"a": zarray()})
    (tmp_path / "a" / ".zattrs").write_text(json.dumps(attributes))
    volume = open_volume(tmp_path / "a")
    place = (1.0, 2.0, 3.0) if place_key else (0.0, 0.0, 0.0)
    assert volume.finest.grid == Grid((8.0, 4.0, 4.0), place, (4, 4, 4))
    assert len(volume.levels) == 1


def test_a_plain_array_without_voxel_size_is_told_which_keys_are_looked_for(tmp_path):
    write_group(tmp_path, "{}", {"a": zarray()})
    (tmp_path / "a" / ".zattrs").write_text("{}")
    with pytest.raises(DataError, match="none of voxel_size, resolution, scale"):
        open_volume(tmp_path / "a")


def test_control_bytes_in_metadata_do_not_reach_the_message(tmp_path):
    attributes = changed("s0\x1b[2J/..", "multiscales", 0, "datasets", 0, "path")
    write_group(tmp_path, attributes, {})
    with pytest.raises(DataError) as caught:
        open_multiscale(tmp_path)
    assert "\x1b" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("multiscales",),
    ("multiscales", 0),
    ("multiscales", 0, "axes"),
    ("multiscales", 0, "axes", 1),
    ("multiscales", 0, "axes", 1, "unit"),
    ("multiscales", 0, "coordinateTransformations"),
    ("multiscales", 0, "datasets"),
    ("multiscales", 0, "datasets", 0),
    ("multiscales", 0, "datasets", 0, "path"),
    SCALE,
    TRANSLATION,
    KIND,
]


@given(st.sampled_from(PLACES), json_values, st.sampled_from(sorted(zarray())), json_values)
def test_no_metadata_whatever_cause_anything_but_an_answer_or_one_clear_error(
    tmp_path_factory, place, value, key, array_value
):
    folder = tmp_path_factory.mktemp("group")
    write_group(folder, changed(value, *place), {"s0": json.dumps({**zarray(), key: array_value})})
    try:
        message = f"{open_volume(folder).path}"
    except CellmapError as error:
        message = error.message
    assert str(folder) in message
