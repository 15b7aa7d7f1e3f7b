"""The draw, against every possible choice on small cases."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.services.split_assign import Unit, assign, assign_folds

CLASSES = "abcdef"

units_of_any_kind = st.lists(
    st.tuples(st.integers(1, 3), st.sets(st.sampled_from(CLASSES)), st.sampled_from("xyz")), min_size=1, max_size=8
).map(
    lambda rows: [
        Unit(f"u{i}", crops, dict.fromkeys(classes, crops), {dataset: crops})
        for i, (crops, classes, dataset) in enumerate(rows)
    ]
)
ratios = st.floats(0.0, 0.95)
seeds = st.integers(0, 2**32)


def _both_sides(units: list[Unit], sides: dict[str, str]) -> set[str]:
    seen = {(name, sides[unit.name]) for unit in units for name in unit.classes}
    return {name for name in CLASSES if {(name, "train"), (name, "validate")} <= seen}


def _shared(units: list[Unit]) -> set[str]:
    return {name for name in CLASSES if sum(name in unit.classes for unit in units) > 1}


def _some_choice_shows_all(units: list[Unit]) -> bool:
    for picks in itertools.product(("train", "validate"), repeat=len(units)):
        sides = dict(zip((unit.name for unit in units), picks, strict=True))
        alone = {name for unit in units for name in unit.classes} - _shared(units)
        learned = {name for unit in units if sides[unit.name] == "train" for name in unit.classes}
        if alone <= learned and _both_sides(units, sides) == _shared(units):
            return True
    return False


@given(units_of_any_kind, ratios.filter(lambda r: r > 0), seeds)
def test_every_class_is_on_both_sides_wherever_any_choice_could_show_it(
    units: list[Unit], ratio: float, seed: int
) -> None:
    sides = assign(units, ratio, seed)
    assert set(sides) == {unit.name for unit in units}
    if _some_choice_shows_all(units):
        assert _both_sides(units, sides) == _shared(units)


@given(units_of_any_kind, ratios, seeds)
def test_no_class_is_taken_from_training_altogether_and_the_order_of_units_is_of_no_matter(
    units: list[Unit], ratio: float, seed: int
) -> None:
    sides = assign(units, ratio, seed)
    learned = {name for unit in units if sides[unit.name] == "train" for name in unit.classes}
    assert learned == {name for unit in units for name in unit.classes}
    assert "train" in sides.values()
    assert sides == assign(units[::-1], ratio, seed)
    if ratio == 0:
        assert set(sides.values()) == {"train"}


@given(st.integers(2, 60), st.floats(0.02, 0.9), seeds)
def test_with_equal_crops_the_share_is_met_to_half_a_crop(number: int, ratio: float, seed: int) -> None:
    units = [Unit(f"u{i}", 1, {"a": 1, "b": 1}, {f"d{i % 3}": 1}) for i in range(number)]
    validating = sum(side == "validate" for side in assign(units, ratio, seed).values())
    assert abs(validating - min(max(1, ratio * number), number - 1)) <= 0.5 + 1e-9


@given(seeds)
def test_datasets_are_represented_as_in_the_whole(seed: int) -> None:
    units = [Unit(f"u{i}", 1, {"a": 1}, {"x" if i < 40 else "y": 1}) for i in range(60)]
    sides = assign(units, 0.1, seed)
    assert sum(sides[f"u{i}"] == "validate" for i in range(40)) == 4
    assert sum(sides[f"u{i}"] == "validate" for i in range(40, 60)) == 2


def test_bound_units_stay_where_they_are_and_seeds_differ() -> None:
    units = [Unit(f"u{i}", 1, {"a": 1}) for i in range(20)]
    bound = [*units, Unit("t", 1, {"b": 1}, side="train"), Unit("v", 1, {"b": 1}, side="validate")]
    sides = assign(bound, 0.2, 1)
    assert (sides["t"], sides["v"]) == ("train", "validate")
    assert len({tuple(sorted(assign(units, 0.2, seed).items())) for seed in range(20)}) > 5


@given(units_of_any_kind, st.integers(2, 5), seeds)
def test_each_unit_validates_in_one_fold_and_no_fold_is_empty(units: list[Unit], folds: int, seed: int) -> None:
    fold_of = assign_folds(units, folds, seed)
    assert all(fold is not None and 0 <= fold < folds for fold in fold_of.values())
    assert len(set(fold_of.values())) == min(folds, len(units))
    assert fold_of == assign_folds(units[::-1], folds, seed)


@given(st.integers(2, 5), st.integers(1, 6), seeds)
def test_folds_share_a_class_evenly(folds: int, each: int, seed: int) -> None:
    units = [Unit(f"u{i}", 1, {"a": 1} if i % 2 else {"a": 1, "b": 1}) for i in range(folds * each * 2)]
    fold_of = assign_folds(units, folds, seed)
    for name in "ab":
        counts = [sum(fold_of[u.name] == fold and name in u.classes for u in units) for fold in range(folds)]
        assert max(counts) - min(counts) <= 1
