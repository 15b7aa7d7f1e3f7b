from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.learning.model_card import (
    OWN,
    InputScale,
    ModelCard,
    OwnModel,
    card_json,
    card_of,
    parse_card,
    read_card,
    write_card,
)
from tests.learning.config_parts import read

EDGES = st.tuples(*[st.integers(1, 512)] * 3)
SIZES = st.tuples(*[st.floats(0.1, 1000, allow_nan=False)] * 3)
PLAIN = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()))


def small_card():
    return ModelCard(
        architecture="dynunet", columns=("nuc",), dimensions=2, shape=(1, 64, 64), voxel_size_nm=(8, 8, 8)
    )


@given(
    st.text(),
    st.lists(st.text(), min_size=1).map(tuple),
    st.sampled_from([2, 3]),
    EDGES,
    SIZES,
    PLAIN,
    st.lists(st.builds(InputScale, st.text(), EDGES, SIZES), max_size=3).map(tuple),
    st.none() | st.builds(OwnModel, st.text(), st.text(), st.text()),
)
def test_a_card_reads_back_as_it_was_written(name, columns, dimensions, shape, voxel, options, inputs, own):
    card = ModelCard(
        architecture=name,
        columns=columns,
        dimensions=dimensions,
        shape=shape,
        voxel_size_nm=voxel,
        model_kwargs=options,
        input_scales=inputs,
        value_transforms=({"name": "GainOffset", "gain_range": [0.8, 1.2]},),
        targets="[targets]\n",
        versions={"torch": "2"},
        own_model=own,
    )
    assert parse_card(card_json(card)) == card


def test_a_file_keeps_a_card(tmp_path):
    card = ModelCard(
        architecture="dynunet", columns=("nuc",), dimensions=2, shape=(1, 64, 64), voxel_size_nm=(8, 8, 8)
    )
    write_card(tmp_path / "model.json", card)
    assert read_card(tmp_path / "model.json") == card
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"columns": []}, "columns"),
        ({"columns": "nuc"}, "columns"),
        ({"dimensions": 4}, "dimensions"),
        ({"shape": [0, 1, 1]}, "shape"),
        ({"shape": [64, 64]}, "shape"),
        ({"voxel_size_nm": [8, 8, -8]}, "voxel_size_nm"),
        ({"voxel_size_nm": [8, 8, float("inf")]}, "voxel_size_nm"),
        ({"in_channels": True}, "in_channels"),
        ({"model_kwargs": []}, "model_kwargs"),
        ({"input_scales": [{"name": "raw"}]}, "shape"),
        ({"architecture": None}, "architecture"),
        ({"format": 99}, "newer version"),
        ({"format": None}, "no format"),
    ],
)
def test_a_card_with_a_wrong_part_is_refused_by_name(change, word):
    card = ModelCard(
        architecture="dynunet", columns=("nuc",), dimensions=2, shape=(1, 64, 64), voxel_size_nm=(8, 8, 8)
    )
    told = json.loads(card_json(card)) | change
    with pytest.raises(DataError, match=word):
        parse_card(json.dumps(told))


@pytest.mark.parametrize("text", ["", "[]", "{", '"card"', "\x00"])
def test_what_is_no_card_is_refused(text, tmp_path):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError):
        read_card(tmp_path / "model.json")


def test_a_missing_card_says_so(tmp_path):
    with pytest.raises(MissingDataError):
        read_card(tmp_path / "model.json")


def test_a_card_without_columns_or_of_four_dimensions_cannot_exist():
    with pytest.raises(RequestError):
        ModelCard(architecture="dynunet", columns=(), dimensions=2, shape=(1, 64, 64), voxel_size_nm=(8, 8, 8))
    with pytest.raises(RequestError):
        ModelCard(architecture="dynunet", columns=("a",), dimensions=4, shape=(1, 64, 64), voxel_size_nm=(8, 8, 8))


def test_a_card_follows_from_a_configuration(tmp_path):
    config = read(
        tmp_path,
        'classes = ["nuc", "mito"]\nmodel_name = "2d_unet"\n'
        "input_array_info = { shape = [1, 128, 96], scale = [8, 4, 2] }\n",
    ).checked()
    card = card_of(config, ("nuc", "mito", "mito/core"), targets="x", config_hash="c", split_hash="s")
    assert (card.architecture, card.dimensions, card.patch) == ("2d_unet", 2, (128, 96))
    assert (card.spacing_nm, card.in_channels) == ((4, 2), 1)
    assert card.versions["torch"]


def test_options_of_a_configuration_are_in_the_card_as_they_are_read_back(tmp_path):
    config = dataclasses.replace(read(tmp_path, "").checked(), model_kwargs={"features": (8, 16), "at": tmp_path})
    card = card_of(config, ("nuc",))
    assert card.model_kwargs == {"features": [8, 16], "at": str(tmp_path)}
    assert parse_card(card_json(card)) == card


def test_a_flat_patch_along_another_axis_keeps_the_other_two():
    card = ModelCard(architecture="2d_unet", columns=("a",), dimensions=2, shape=(64, 1, 32), voxel_size_nm=(8, 4, 2))
    assert (card.patch, card.spacing_nm) == ((64, 32), (8, 2))


def test_a_size_in_the_name_of_a_network_is_kept(tmp_path):
    assert card_of(read(tmp_path, 'model_name = "resenc_l"').checked(), ("nuc",)).architecture == "resenc_l"
    config = read(tmp_path, 'model_name = "mine"\narchitecture = "MedNeXtM"').checked()
    assert card_of(config, ("nuc",)).architecture == "MedNeXtM"


def test_a_card_can_be_read_without_torch():
    code = "import sys, cellmap_tui.learning.model_card as m; assert m.OWN; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert OWN == "custom"
