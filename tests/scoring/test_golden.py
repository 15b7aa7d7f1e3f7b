from __future__ import annotations

import json

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.scoring.pairs import score_pair
from tests.scoring.golden.check_golden import differences
from tests.scoring.golden_cases import NAMES, SLOW, write_case


def _parameters(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", _parameters(NAMES))
def test_a_case_agrees_with_the_official_result(name, tmp_path):
    case = write_case(name, tmp_path)
    golden = case.golden
    assert case.facts["digest"] == golden["digest"]
    if "error" in golden:
        with pytest.raises(CellmapError) as raised:
            case.scores()
        assert raised.value.remedy
        return
    scores = case.scores()
    public, extended = (json.loads(json.dumps(document)) for document in (scores.public(), scores.extended()))
    assert not differences(golden, public, extended)


@pytest.mark.parametrize("name", ["ome_ngff_label-s1", "non_ome_group-s1"])
def test_a_label_stored_as_a_group_scores_by_its_path_as_officially(name, tmp_path):
    case = write_case(name, tmp_path)
    unseen = case.plan().unseen
    direct = {f"{request.crop}/{request.label}": score_pair(request).official() for request in unseen}
    assert set(direct) == set(case.golden["direct"])
    assert not differences(case.golden, direct=direct)


def test_there_are_all_the_cases():
    assert len(NAMES) == 48
