"""The page on formats names what the code writes."""

from __future__ import annotations

import dataclasses
import re

import pytest

from cellmap_tui.challenge.datasplit import SplitRow
from cellmap_tui.challenge.differences import CatalogDiff
from cellmap_tui.jobs.events import MAX_WAITING_LINES
from cellmap_tui.jobs.rundir import create_run, environment_summary
from cellmap_tui.jobs.summary import RunSummary
from cellmap_tui.services.batch_eval import BatchEvalResult, BatchRow
from cellmap_tui.services.catalog_refresh import RefreshResult
from cellmap_tui.services.compare_runs import CompareResult, ScoreRow
from cellmap_tui.services.config import ConfigDifference, ConfigProblem, ConfigRow, ConfigShow, ConfigText
from cellmap_tui.services.config_check import ConfigCheck, ConfigFinding
from cellmap_tui.services.counts_model import ClassCount, CountsResult, CropCount
from cellmap_tui.services.demo import DemoResult
from cellmap_tui.services.doctor_model import Check, DoctorReport
from cellmap_tui.services.evaluate_model import (
    ClassResult,
    EvaluatePlan,
    EvaluateResult,
    Explanation,
    ObjectRow,
    PairPlan,
    PairResult,
)
from cellmap_tui.services.export_model import ExportedFile, ExportedVolume, ExportResult
from cellmap_tui.services.fetch_archive import FetchArchivePlan, FetchArchiveResult
from cellmap_tui.services.fetch_model import (
    Amount,
    CropPlan,
    CropResult,
    FetchFailure,
    FetchPlan,
    FetchResult,
    LevelPlan,
)
from cellmap_tui.services.import_model import ImportedArray, ImportResult
from cellmap_tui.services.journey_model import JourneyResult, StepResult
from cellmap_tui.services.map_labels_model import MapLabelsPlan, MapLabelsResult, MappedVolume, UnmappedId
from cellmap_tui.services.models import from_json
from cellmap_tui.services.pack_model import Cell, Fix, PackedVolume, PackPlan, PackResult
from cellmap_tui.services.pack_model import Coverage as PackCoverage
from cellmap_tui.services.patches_model import ColumnStatistics, LeftOutCrop, PatchesResult
from cellmap_tui.services.predict_model import PredictedCrop, PredictPlan, PredictResult
from cellmap_tui.services.process_model import ProcessedVolume, ProcessPlan, ProcessResult, VolumePlan
from cellmap_tui.services.propose_model import (
    GroupProposal,
    LeftOutTarget,
    ProposeResult,
    SizeShare,
    TargetProposal,
)
from cellmap_tui.services.speedtest import SpeedPoint, SpeedtestResult
from cellmap_tui.services.split_model import FoldCounts, SplitCrop, SplitPlan, SplitResult, TargetCounts, TargetStand
from cellmap_tui.services.submission_log_model import ScoreNote, Submission, SubmissionDiff, Upload, VolumeChange
from cellmap_tui.services.train_model import ClassPatches, Preflight, PreflightFinding, TrainResult
from cellmap_tui.services.tune_model import TunedClass, TuneResult, TuneRow
from cellmap_tui.services.validate_model import Coverage, Finding, ValidateResult
from cellmap_tui.services.verify_model import CropCheck, PartCheck, Problem, VerifyResult
from tests.jobs.helpers import HERE
from tests.jobs.work import CountRequest

PAGE = (HERE.parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")


def section(title):
    match = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no section {title!r}"
    return set(re.findall(r"`([a-z0-9_]+)`", match[1]))


@pytest.mark.parametrize(
    ("title", "models"),
    [
        ("demo", [DemoResult]),
        ("import", [ImportResult, ImportedArray]),
        ("export", [ExportResult, ExportedFile, ExportedVolume]),
        ("fetch-data", [FetchResult, CropResult, FetchFailure, FetchPlan, CropPlan, LevelPlan, Amount]),
        ("verify", [VerifyResult, CropCheck, PartCheck, Problem]),
        ("make-datasplit", [SplitResult, SplitPlan, SplitCrop, SplitRow, TargetStand, TargetCounts, FoldCounts]),
        ("get-counts", [CountsResult, ClassCount, CropCount]),
        ("evaluate", [EvaluateResult, ClassResult, PairResult, EvaluatePlan, PairPlan, Explanation, ObjectRow]),
        ("batch-eval", [BatchEvalResult, BatchRow]),
        ("validate-submission", [ValidateResult, Coverage, Finding]),
        ("pack-results", [PackResult, PackedVolume, PackPlan, PackCoverage, Cell, Fix]),
        ("submissions", [Submission, Upload, ScoreNote, SubmissionDiff, VolumeChange]),
        ("map-labels", [MapLabelsResult, MappedVolume, UnmappedId, MapLabelsPlan]),
        ("run", [JourneyResult, StepResult]),
        ("runs compare", [CompareResult, ScoreRow]),
        ("fetch-archive", [FetchArchiveResult, FetchArchivePlan]),
        ("patches", [PatchesResult, ColumnStatistics, LeftOutCrop]),
        ("predict", [PredictResult, PredictedCrop, PredictPlan]),
        ("process", [ProcessResult, ProcessedVolume, ProcessPlan, VolumePlan]),
        ("tune", [TuneResult, TunedClass, TuneRow]),
        ("train", [TrainResult, Preflight, PreflightFinding, ClassPatches]),
        ("plan", [ProposeResult, GroupProposal, TargetProposal, SizeShare, LeftOutTarget]),
        (
            "config",
            [ConfigShow, ConfigRow, ConfigProblem, ConfigCheck, ConfigFinding, ConfigDifference, ConfigText],
        ),
        ("speedtest", [SpeedtestResult, SpeedPoint]),
        ("catalog refresh", [RefreshResult, CatalogDiff]),
        ("doctor", [DoctorReport, Check]),
        ("runs", [RunSummary]),
    ],
)
def test_every_field_of_a_result_is_described(title, models):
    fields = {field.name for model in models for field in dataclasses.fields(model)}
    assert fields <= section(title), fields - section(title)


def test_every_field_of_the_small_files_is_described(runs_root):
    run = create_run(runs_root, "count", CountRequest(1), [])
    assert set(from_json(run.request_path.read_bytes(), dict, source="request")) <= section("request.json")
    assert set(from_json(run.state_path.read_bytes(), dict, source="state")) - {"v"} <= section("state.json")


def test_of_the_environment_only_what_is_listed_is_kept(monkeypatch):
    for name in re.findall(r"`([A-Z_]{4,})`", PAGE):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    kept = environment_summary()
    assert "MY_TOKEN" not in kept
    assert {name for name in kept if name.isupper()} <= set(re.findall(r"`([A-Z_]{4,})`", PAGE))


def test_the_bound_of_waiting_lines_is_the_described_one():
    assert f"{MAX_WAITING_LINES:,}" in PAGE
