"""The form of a fetch: what can be typed, what it asks the service, what the plan says in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellmap_tui.app import plan_words
from cellmap_tui.app.fetch_form import OPTIONS, FetchForm, parsed_size
from cellmap_tui.app.starter_set import starter_crops
from cellmap_tui.challenge.crops import Crop
from cellmap_tui.challenge.grid import Grid
from cellmap_tui.errors import RequestError
from cellmap_tui.services.fetch_model import FetchRequest
from tests.app.builders import settings_at
from tests.app.fetch_parts import REFS, plan_of

BY_NAME = {option.name: option for option in OPTIONS}
FORM = FetchForm(crops=REFS)


def plan_for(form: FetchForm = FORM, **changes: object):
    return plan_of(form.request(settings_at()), **changes)


@pytest.mark.parametrize(
    ("typed", "size_bytes"),
    [("20M", 20_000_000), ("1.5 G", 1_500_000_000), ("512MiB", 512 * 2**20), ("7", 7), ("3kb/s", 3_000)],
)
def test_sizes_are_read_as_people_write_them(typed: str, size_bytes: int) -> None:
    assert parsed_size(typed) == size_bytes


@pytest.mark.parametrize("typed", ["much", "-3", "5 X", "1e9", ""])
def test_what_is_no_size_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(RequestError, match="is no size"):
        parsed_size(typed)


@pytest.mark.parametrize(
    ("name", "typed", "value", "shown"),
    [
        ("raw_padding", "16", 16, "16"),
        ("raw_padding_nm", "12.5", 12.5, "12.5"),
        ("levels", "s1, s2 s1", ("s1", "s2"), "s1 s2"),
        ("classes", "mito", ("mito",), "mito"),
        ("num_workers", "32", 32, "32"),
        ("limit_rate", "20M", 20_000_000, "20.0M"),
        ("max_bytes", "", None, "none"),
    ],
)
def test_each_option_is_typed_shown_and_asked(name: str, typed: str, value: object, shown: str) -> None:
    form = FORM.with_text(BY_NAME[name], typed)

    assert getattr(form.request(settings_at()), name) == value
    assert form.words(BY_NAME[name]) == shown


def test_what_is_shown_for_editing_can_be_typed_again() -> None:
    form = FORM.with_text(BY_NAME["limit_rate"], "20M").with_text(BY_NAME["levels"], "s1 s2")

    for option in OPTIONS:
        if option.kind != "toggle":
            assert form.with_text(option, form.typed(option)) == form


@pytest.mark.parametrize(
    ("name", "typed"), [("raw_padding", "a lot"), ("raw_padding_nm", "8 nm"), ("num_workers", "1.5")]
)
def test_what_is_no_number_is_refused(name: str, typed: str) -> None:
    with pytest.raises(RequestError, match="is not a"):
        FORM.with_text(BY_NAME[name], typed)


def test_of_all_levels_and_named_levels_the_one_set_last_counts() -> None:
    named = FORM.toggled(BY_NAME["fetch_all_em_resolutions"]).with_text(BY_NAME["levels"], "s1")
    everything = named.toggled(BY_NAME["fetch_all_em_resolutions"])

    assert (named.fetch_all_em_resolutions, named.levels) == (False, ("s1",))
    assert (everything.fetch_all_em_resolutions, everything.levels) == (True, ())


def test_every_option_is_a_field_of_the_request() -> None:
    assert {option.name for option in OPTIONS} <= set(FetchRequest.__dataclass_fields__)


def test_the_crops_are_asked_for_by_their_full_names() -> None:
    assert FORM.request(settings_at()).crops == ",".join(REFS)


def test_options_about_speed_and_limits_need_no_new_plan() -> None:
    assert FORM.with_text(BY_NAME["limit_rate"], "5M").needs_plan_of == FORM.needs_plan_of
    assert FORM.with_text(BY_NAME["raw_padding"], "5").needs_plan_of != FORM.needs_plan_of


def test_a_plan_that_does_not_fit_names_the_options_that_allow_it() -> None:
    plan = plan_for(fits=False, disk_bytes=10**12, free_bytes=10**9)

    assert plan_words.refusal(FORM, plan).endswith("make room, or set ignore disk")
    assert plan_words.refusal(FORM.toggled(BY_NAME["ignore_disk"]), plan) == ""
    assert "max bytes 1.0 M" in plan_words.refusal(FORM.with_text(BY_NAME["max_bytes"], "1M"), plan_for())
    assert plan_words.refusal(FORM, plan_for()) == ""


def test_the_time_is_that_of_the_limit_where_that_is_slower() -> None:
    slow = FORM.with_text(BY_NAME["limit_rate"], "10k")

    assert plan_words.time_words(FORM, plan_for()) == "about 3 min 32 s"
    assert plan_words.time_words(slow, plan_for()) == "about 23 min 25 s"
    assert plan_words.time_words(slow, plan_for(estimated_s=None)).startswith("at least")
    assert "not known" in plan_words.time_words(FORM, plan_for(estimated_s=None))


def test_the_question_before_the_start_names_size_place_and_disk() -> None:
    question, cost = plan_words.start_question(FORM, plan_for())

    assert question == "Fetch 3 crops: 14.1 M in 908 objects?"
    assert "into data" in cost
    assert "free on its disk" in cost
    assert "removed first" in plan_words.start_question(FORM.toggled(BY_NAME["access_mode"]), plan_for())[1]


def test_the_hint_about_padding_makes_room_for_a_patch() -> None:
    assert plan_words.padding_hint(plan_for()).startswith("16 voxels more at 8 nm make room for a 128-voxel patch")
    assert plan_words.padding_hint(None) == ""


def test_empty_classes_are_named_with_their_badge() -> None:
    words = plan_words.label_words(plan_for().crops[0]).plain

    assert "○ empty in the bucket: mito_ribo" in words


def test_the_starter_set_is_small_and_of_several_datasets() -> None:
    def crop(ref: str, edge: int, classes: int = 20, **changes: object) -> Crop:
        dataset, _, name = ref.partition("/crop")
        grid = Grid((8.0, 8.0, 8.0), (0.0, 0.0, 0.0), (edge, edge, edge))
        names = tuple(f"c{index}" for index in range(classes))
        return Crop(int(name), dataset, changes.pop("split", "train"), grid, names, **changes)  # type: ignore[arg-type]

    chosen = starter_crops(
        [
            crop("a/crop1", 100),
            crop("a/crop2", 50),
            crop("b/crop3", 60),
            crop("c/crop4", 400),
            crop("d/crop5", 10, classes=1),
            crop("e/crop6", 10, split="test"),
            crop("f/crop7", 10, source="import"),
        ]
    )

    assert chosen == ("a/crop2", "b/crop3", "c/crop4")
    assert starter_crops([]) == ()


def test_paths_in_the_question_are_made_safe_to_show() -> None:
    plan = plan_for(data_root=Path("a\x1b[31mb"))

    assert "\x1b" not in plan_words.start_question(FORM, plan)[1]
