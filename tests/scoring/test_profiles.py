from __future__ import annotations

import math

import pytest

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.errors import RequestError, UnknownNameError
from cellmap_tui.scoring.limits import Limits
from cellmap_tui.scoring.profiles import DEFAULT_PROFILE, PROFILES, get_profile, scoring_of


def test_profiles_are_found_by_name_and_a_typo_names_the_nearest():
    assert get_profile("2026-06") is DEFAULT_PROFILE
    assert {profile.name for profile in PROFILES} == {"2026-06", "2026-07", "panoptic"}
    with pytest.raises(UnknownNameError, match="did you mean '2026-07'"):
        get_profile("2026-7")


def test_only_the_unpublished_formula_is_provisional():
    assert [profile.name for profile in PROFILES if profile.is_provisional] == ["2026-07"]


def test_classes_are_scored_as_the_class_table_says():
    for info in builtin_classes().scored:
        assert scoring_of(info.name) == info.scoring


def test_the_environment_moves_the_limits():
    values = {
        "FINAL_INSTANCE_RATIO_CUTOFF": "3",
        "INITIAL_INSTANCE_RATIO_CUTOFF": "7",
        "INSTANCE_RATIO_FACTOR": "2",
        "MAX_OVERLAP_EDGES": "11",
        "MAX_VOLUME_SIZE_RATIO": "8",
        "MAX_UNCOMPRESSED_SIZE": "99",
    }
    assert Limits.from_environment(values) == Limits(3.0, 7.0, 2.0, 11, 8.0, 99)
    assert Limits.from_environment(values).ratio_cutoff(4) == pytest.approx(3 + 7 * math.exp(-2))
    assert Limits.from_environment({}) == Limits()


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused_by_name(text):
    with pytest.raises(RequestError, match="MAX_OVERLAP_EDGES"):
        Limits.from_environment({"MAX_OVERLAP_EDGES": text})
