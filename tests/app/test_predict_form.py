"""The form of a prediction: what is typed becomes the request that the service is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cellmap_tui.app.predict_form import OPTIONS, PredictForm, option_of
from cellmap_tui.app.predict_words import in_words_of_the_screen, refusal, sum_words
from cellmap_tui.errors import RequestError
from cellmap_tui.services.predict_model import PredictRequest
from tests.app.builders import settings_at
from tests.app.predict_parts import planned_of

FORM = PredictForm(networks=("/runs/a",))


def typed(name: str, text: str) -> PredictForm:
    return FORM.with_text(option_of(name), text)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("crops", "234, 236", "234, 236"),
        ("classes", "mito, er mito", ("mito", "er")),
        ("voxel_size", "8 8 10.4", "8,8,10.4"),
        ("voxel_size", "model", "model"),
        ("overlap", "0.5", 0.5),
        ("max_bytes", "50G", 50_000_000_000),
        ("memory_bytes", "4 G", 4_000_000_000),
        ("batch_size", "16", 16),
        ("axes", "zy", "zy"),
        ("box_nm", "0 0 0 : 8000 8000 4000.5", ((0, 0, 0), (8000, 8000, 4000.5))),
        ("batch_size", "", None),
        ("voxel_size", "", "auto"),
    ],
)
def test_what_is_typed_is_what_is_asked(name, text, value) -> None:
    form = replace(FORM, em="jrc_cos7-1a") if name == "box_nm" else FORM
    form = form.with_text(option_of(name), text)

    assert getattr(form, name) == value
    assert getattr(form.request(settings_at()), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("overlap", "half"),
        ("voxel_size", "8 8"),
        ("voxel_size", "nan"),
        ("voxel_size", "-8"),
        ("max_bytes", "much"),
        ("batch_size", "1.5"),
        ("axes", "q"),
        ("axes", "zz"),
        ("box_nm", "0 0 0"),
        ("box_nm", "0 0 : 1 1"),
    ],
)
def test_what_cannot_be_read_is_told_while_it_is_typed(name, text) -> None:
    assert FORM.problem(option_of(name), text, settings_at())
    with pytest.raises(RequestError):
        typed(name, text)


def test_options_that_contradict_each_other_are_told_while_they_are_typed() -> None:
    assert "overlap" in FORM.problem(option_of("overlap"), "1", settings_at())
    assert "empty" in replace(FORM, em="a").problem(option_of("box_nm"), "0 0 0 : 0 1 1", settings_at())


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_shows_its_value_and_comes_back_as_it_is_shown(option) -> None:
    request = PredictRequest(
        checkpoints=("/runs/a",), crops="234", classes=("mito",), voxel_size="8,8,8", max_bytes=50_000_000_000,
        batch_size=4, axes="z", output="/out", memory_bytes=4_000_000_000, em="jrc_cos7-1a",
        box_nm=((0.0, 0.0, 0.0), (80.0, 80.0, 80.0)),
    )  # fmt: skip
    form = PredictForm.of_request(request)

    assert form.words(option)
    if option.choices:
        assert form.with_next(option) != form
    else:
        assert form.with_text(option, form.typed(option)) == form


def test_a_request_of_the_command_line_keeps_what_the_screen_has_no_option_for() -> None:
    request = PredictRequest(checkpoints=("/runs/a",), manifest="crops.csv", search_path="/em/{dataset}", flips=True)

    assert PredictForm.of_request(request).request(settings_at()) == request


def test_what_excludes_each_other_gives_way_to_what_was_set_last() -> None:
    assert typed("classes", "mito").with_next(option_of("all_classes")).classes == ()
    logits = FORM.with_next(option_of("unit"))
    assert (logits.unit, logits.dtype) == ("logits", "float16")
    logits.request(settings_at())
    assert replace(logits, dtype="float32").with_next(option_of("dtype")).unit == "probability"


def test_an_ensemble_takes_the_place_of_networks() -> None:
    form = FORM.with_networks((), "/nets/ensemble.toml")

    assert form.request(settings_at()).ensemble == Path("/nets/ensemble.toml")
    assert form.request(settings_at()).checkpoints == ()


def test_limits_need_no_new_plan() -> None:
    assert typed("max_bytes", "1G").needs_plan_of == FORM.needs_plan_of
    assert typed("overlap", "0.5").needs_plan_of != FORM.needs_plan_of


@pytest.mark.parametrize(
    ("form", "changes", "words"),
    [
        (FORM, {"needed_bytes": 2_000, "free_bytes": 1_000}, "set ignore disk"),
        (replace(FORM, max_bytes=1_000), {}, "more than max bytes 1"),
        (FORM, {"conflicts": ("data/x is there, predicted by another network or otherwise",)}, "replace"),
    ],
)
def test_a_refusal_names_the_option_that_allows_it(form, changes, words) -> None:
    planned = planned_of(form.request(settings_at()), **changes)

    assert words in refusal(form, planned)
    assert words in sum_words(form, planned).plain


def test_what_allows_it_starts() -> None:
    form = replace(FORM, ignore_disk=True)

    assert not refusal(form, planned_of(form.request(settings_at()), needed_bytes=2_000, free_bytes=1_000))


def test_messages_of_the_service_call_options_as_the_screen_does() -> None:
    assert "--" not in in_words_of_the_screen("replace it with --overwrite, or add --trust-config; --remote reads it")
