"""The golden cases through the service: the documents on disk agree with the official ones."""

from __future__ import annotations

import json

import pytest

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.evaluate import EvaluateRequest, evaluate
from cellmap_tui.services.report import SilentReporter
from tests.scoring.golden.check_golden import differences
from tests.scoring.golden_cases import NAMES, SLOW, write_case


def documents(case, tmp_path):
    """Score a case; return both documents without our own key, None where the official scorer gives none."""
    request = EvaluateRequest(
        submission=case.folder / case.facts["submission"],
        truth=case.folder / "ground_truth.zarr",
        test_manifest=str(case.folder / "test_crop_manifest.csv"),
        result_file=tmp_path / "R.json",
        store=tmp_path / "store",
    )
    try:
        result = evaluate(request, SilentReporter())
    except CellmapError:
        return None
    found = [json.loads(path.read_text()) for path in (result.result_file, result.extended_file)]
    for document in found:
        del document["cellmap_tui"]
    return found if any(found) else None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_the_files_of_an_evaluation_agree_with_the_official_result(name, tmp_path):
    case = write_case(name, tmp_path)
    found = documents(case, tmp_path)
    if "error" in case.golden:
        assert found is None
    else:
        assert not differences(case.golden, *found)
