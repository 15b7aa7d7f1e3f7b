"""What can be set about a split on screen, and the request that comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.app.split_form import OPTIONS, SplitForm
from cellmap_tui.errors import RequestError
from cellmap_tui.services.split_model import SplitRequest
from tests.app.builders import settings_at

BY_NAME = {option.name: option for option in OPTIONS}


@pytest.mark.parametrize(
    ("name", "typed", "shown"),
    [
        ("classes", "mito, er", "mito er"),
        ("scale_nm", "8", "8"),
        ("scale_nm", "20 8 8", "20 8 8"),
        ("validate_ratio", "0.25", "0.25"),
        ("seed", "7", "7"),
        ("min_foreground", "0.1%, mito=0.02", "0.1% mito=2%"),
        ("datasets", "jrc_mus*", "jrc_mus*"),
        ("crops", "200-210", "200-210"),
        ("k_folds", "5", "5"),
        ("csv_path", "other.csv", "other.csv"),
    ],
)
def test_what_is_typed_is_shown_and_an_empty_line_takes_it_back(name: str, typed: str, shown: str) -> None:
    option = BY_NAME[name]
    form = SplitForm().with_text(option, typed)
    assert form.words(option) == shown
    assert form.is_set(option)
    form.request(settings_at())
    assert form.with_text(option, "") == SplitForm()
    assert form.with_text(option, form.typed(option)) == form


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("scale_nm", "8 8"),
        ("scale_nm", "x"),
        ("seed", "x"),
        ("k_folds", "2.5"),
        ("min_foreground", "lots"),
        ("targets", "none.toml"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, typed: str) -> None:
    with pytest.raises(RequestError):
        SplitForm().with_text(BY_NAME[name], typed)


def test_choices_go_round() -> None:
    option = BY_NAME["force_all_classes"]
    form = SplitForm()
    seen = []
    for _ in option.choices:
        seen.append(form.words(option))
        form = form.with_next(option)
    assert form == SplitForm()
    assert seen == ["are used", "left out", "only validate", "only train"]


def test_a_crop_is_bound_to_one_side_at_a_time() -> None:
    form = SplitForm().with_side("a/crop1", "train").with_side("a/crop2", "out").with_side("a/crop1", "validate")
    assert (form.train_crops, form.validate_crops, form.leave_out) == ((), ("a/crop1",), ("a/crop2",))
    assert [form.side_of(f"a/crop{n}") for n in (1, 2, 3)] == ["validate", "out", "drawn"]
    assert form.with_side("a/crop1", "drawn").with_side("a/crop2", "drawn") == SplitForm()


def test_a_request_of_the_command_line_comes_back_whole() -> None:
    request = SplitRequest(
        csv_path=Path("/x/s.csv"),
        data_root=Path("/d"),
        classes=("mito",),
        scale_nm=(8.0, 8.0, 8.0),
        crops="200-210",
        seed=3,
        manifest="m.csv",
        force=True,
    )
    assert SplitForm.of_request(request).request(settings_at()) == request
