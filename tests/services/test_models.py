from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.errors import RequestError
from cellmap_tui.services.models import from_json, from_mapping, to_builtins, to_json


@dataclass(frozen=True, slots=True)
class Example:
    root: Path
    voxel_size_nm: tuple[float, float, float] = (8.0, 8.0, 8.0)
    crop: int | None = None
    axis: Literal["z", "y"] | None = "z"


@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), st.none() | st.integers(-(2**62), 2**62))
def test_a_model_survives_json(voxel_size_nm, crop):
    model = Example(Path("/data"), voxel_size_nm, crop)
    assert from_json(to_json(model), Example, source="test") == model


def test_a_wrong_field_is_named():
    with pytest.raises(RequestError, match=r"request\.json: .*voxel_size_nm"):
        from_json(b'{"root": "/x", "voxel_size_nm": [1, 2]}', Example, source="request.json")


def test_text_that_is_not_json_is_an_error_of_the_request():
    with pytest.raises(RequestError, match=r"request\.json"):
        from_json(b'{"root": "/x"', Example, source="request.json")


def test_an_unknown_option_offers_the_nearest():
    with pytest.raises(RequestError, match="did you mean 'crop'"):
        from_mapping({"root": "/x", "corp": 3}, Example, source="example")


def test_options_may_be_given_as_text():
    model = from_mapping({"root": "/x", "crop": "234", "voxel_size_nm": [4, 4, 4]}, Example, source="example")
    assert model == Example(Path("/x"), (4.0, 4.0, 4.0), 234)


def test_numbers_that_json_lacks_become_null():
    assert to_json({"value": math.nan}) == b'{"value":null}'


def test_builtins_are_plain():
    assert to_builtins(Example(Path("/x"))) == {
        "root": "/x",
        "voxel_size_nm": (8.0, 8.0, 8.0),
        "crop": None,
        "axis": "z",
    }


def test_a_text_where_a_list_is_due_says_how_to_write_it():
    with pytest.raises(RequestError) as caught:
        from_mapping({"root": "/x", "voxel_size_nm": "4, 4, 4"}, Example, source="example")
    assert caught.value.message == "example: voxel_size_nm='4, 4, 4' is a text where a list is due"
    assert caught.value.remedy == "give voxel_size_nm=['4', '4', '4']"


def test_a_value_that_does_not_fit_is_told_with_its_option():
    with pytest.raises(RequestError, match=r"^example: crop: Expected `int \| null`"):
        from_mapping({"root": "/x", "crop": [1]}, Example, source="example")


def test_a_value_that_is_none_of_the_choices_is_told_with_the_choices():
    with pytest.raises(RequestError, match="example: axis: 'x' is none of the choices; one of: y, z"):
        from_mapping({"root": "/x", "axis": "x"}, Example, source="example")
