"""The interface for Python: every command as a function, over the same services as the command line.

A function takes its request model or the same options as keywords, and an optional reporter. Where a
data root, a runs root or the like is not given, the settings decide, as on the command line.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.learning.loader import PatchLoader
    from cellmap_tui.services.batch_eval import BatchEvalRequest, BatchEvalResult
    from cellmap_tui.services.browse import AnnotationRow, ClassRow, CropDetail, CropRow, Resolution
    from cellmap_tui.services.catalog import CatalogSource
    from cellmap_tui.services.catalog_refresh import RefreshRequest, RefreshResult
    from cellmap_tui.services.config import ConfigShow
    from cellmap_tui.services.counts_model import CountsRequest, CountsResult
    from cellmap_tui.services.demo import DemoRequest, DemoResult
    from cellmap_tui.services.doctor import DoctorReport
    from cellmap_tui.services.evaluate_model import EvaluateRequest, EvaluateResult
    from cellmap_tui.services.export_model import ExportRequest, ExportResult
    from cellmap_tui.services.fetch_archive import FetchArchiveRequest, FetchArchiveResult
    from cellmap_tui.services.fetch_model import FetchRequest, FetchResult
    from cellmap_tui.services.import_data import ImportRequest, ImportResult
    from cellmap_tui.services.journey_model import JourneyRequest, JourneyResult
    from cellmap_tui.services.map_labels_model import MapLabelsRequest, MapLabelsResult
    from cellmap_tui.services.pack_model import PackRequest, PackResult
    from cellmap_tui.services.predict_model import PredictRequest, PredictResult
    from cellmap_tui.services.process_model import ProcessRequest, ProcessResult
    from cellmap_tui.services.propose_model import ProposeRequest, ProposeResult
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.slices import SliceImage
    from cellmap_tui.services.speedtest import SpeedtestRequest, SpeedtestResult
    from cellmap_tui.services.split_model import SplitRequest, SplitResult
    from cellmap_tui.services.submission_log_model import Submission
    from cellmap_tui.services.train_model import TrainRequest, TrainResult
    from cellmap_tui.services.tune_model import TuneRequest, TuneResult
    from cellmap_tui.services.validate_model import ValidateRequest, ValidateResult
    from cellmap_tui.services.verify_model import VerifyRequest, VerifyResult

Request = TypeVar("Request")


def crops(query: str = "", **source: Any) -> tuple[CropRow, ...]:
    """Return the crops that a filter keeps.

    Parameters
    ----------
    query
        A filter, such as ``"mito dataset:hela voxel<=4"``; empty: everything.
    **source
        Fields of `CatalogSource`: ``data_root``, ``manifest``, ``train_manifest``, ``test_manifest``.
    """
    from cellmap_tui.services.browse import BrowseRequest, list_crops

    return list_crops(BrowseRequest(query, _source(source))).rows


def crop_annotations(query: str = "", **source: Any) -> tuple[AnnotationRow, ...]:
    """Return the annotations, a row per crop and class, that a filter keeps; parameters as `crops`."""
    from cellmap_tui.services.browse import BrowseRequest, list_annotations

    return list_annotations(BrowseRequest(query, _source(source))).rows


def crop_detail(crop: str | int, **source: Any) -> CropDetail:
    """Return everything that the catalog knows about one crop, such as ``234`` or ``"mine/1"``."""
    from cellmap_tui.services.browse import crop_detail as detail_of
    from cellmap_tui.services.catalog import open_catalog

    return detail_of(open_catalog(_source(source)), str(crop))


def classes(**source: Any) -> tuple[ClassRow, ...]:
    """Return all classes with the crops that annotate them; parameters as `crops`."""
    from cellmap_tui.services.browse import list_classes

    return list_classes(_source(source))


def resolve(name_or_id: str | int, **source: Any) -> Resolution:
    """Return what a class name or id means: members, groups it is in, whether it is scored and why not."""
    from cellmap_tui.services.browse import resolve as resolve_in
    from cellmap_tui.services.catalog import open_catalog

    return resolve_in(open_catalog(_source(source)), name_or_id)


def draw_slice(
    crop: str | int,
    *,
    data_root: str | Path | None = None,
    predictions: str | Path | None = None,
    processed: str | Path | None = None,
    **look: Any,
) -> SliceImage:
    """Draw a slice of a local crop as an RGB picture.

    Parameters
    ----------
    crop
        The crop, such as ``234`` or ``"mine/1"``.
    data_root
        Folder of the data; None: the settings'.
    predictions, processed
        Where predictions lie, for ``kinds`` that need them; None: in the usual folders below the data root.
    **look
        Fields of `SliceLook`, such as ``axis="y"`` or ``kinds=("gt", "predictions")``.
    """
    from pathlib import Path

    from cellmap_tui.services.slices import SliceLook, SliceRequest
    from cellmap_tui.services.slices import draw_slice as draw

    root = Path(data_root) if data_root is not None else _settings().data_root
    places = [None if place is None else str(place) for place in (predictions, processed)]
    return draw(SliceRequest(root, str(crop), _request(SliceLook, None, look, "draw_slice"), *places))


def visualize(
    crop: str | int,
    output: str | Path,
    *,
    with_legend: bool = True,
    data_root: str | Path | None = None,
    predictions: str | Path | None = None,
    processed: str | Path | None = None,
    **look: Any,
) -> SliceImage:
    """Draw a slice of a local crop into a PNG, and return it; the other parameters are those of `draw_slice`."""
    from pathlib import Path

    from cellmap_tui.services.slice_picture import save_slices

    look = {"width_px": 800, "height_px": 800, **look}
    image = draw_slice(crop, data_root=data_root, predictions=predictions, processed=processed, **look)
    save_slices(Path(output), [image], with_legend=with_legend)
    return image


def config(path: str | Path | None = None, *, trust: bool = False, **sets: Any) -> ConfigShow:
    """Return every key of a training configuration with its value, and what is wrong with it.

    Parameters
    ----------
    path
        A ``.toml`` or ``.py`` file, or the folder of a run; None: the defaults.
    trust
        Whether a Python file may run without asking.
    **sets
        Keys on top of it, such as ``epochs=4``.
    """
    from pathlib import Path

    from cellmap_tui.services.config import ConfigSource, config_file, show_config

    settings = _settings()
    named = tuple(f"{name}={_written(value)}" for name, value in sets.items())
    file = None if path is None else config_file(Path(path))
    return show_config(ConfigSource(file, named, settings.state_dir, settings.data_root, trust))


def catalog_refresh(
    request: RefreshRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> RefreshResult:
    """Read the published manifests again; options as `RefreshRequest`."""
    from cellmap_tui.services.catalog_refresh import RefreshRequest, refresh_catalog

    return refresh_catalog(_request(RefreshRequest, request, options, "catalog refresh"), _reporter(report))


def demo(request: DemoRequest | None = None, *, report: Reporter | None = None, **options: Any) -> DemoResult:
    """Make the synthetic challenge and walk the journey on it; options as `DemoRequest`."""
    from cellmap_tui.services.demo import DemoRequest
    from cellmap_tui.services.demo import demo as make

    if request is None and "root" not in options:
        options["root"] = _settings().state_dir / "demo"
    return make(_request(DemoRequest, request, options, "demo"), _reporter(report))


def import_(request: ImportRequest | None = None, *, report: Reporter | None = None, **options: Any) -> ImportResult:
    """Bring stacks of your own into the challenge layout; options as `ImportRequest`.

    Also reachable as ``getattr(cellmap_tui, "import")``.
    """
    from cellmap_tui.services.import_data import ImportRequest, import_data

    return import_data(_request(ImportRequest, request, options, "import"), _reporter(report))


def fetch_data(request: FetchRequest | None = None, *, report: Reporter | None = None, **options: Any) -> FetchResult:
    """Download crops, checked and resumable; options as `FetchRequest`, such as ``crops="234,236"``."""
    result: FetchResult = _run("fetch-data", request, report, options)
    return result


def fetch_archive(
    request: FetchArchiveRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> FetchArchiveResult:
    """Download a published archive by ranges and unpack it while checking; options as `FetchArchiveRequest`."""
    result: FetchArchiveResult = _run("fetch-archive", request, report, options)
    return result


def verify(request: VerifyRequest | None = None, *, report: Reporter | None = None, **options: Any) -> VerifyResult:
    """Check what is on disk against the bucket; options as `VerifyRequest`."""
    result: VerifyResult = _run("verify", request, report, options)
    return result


def speedtest(
    request: SpeedtestRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> SpeedtestResult:
    """Measure the bucket's own throughput; options as `SpeedtestRequest`."""
    result: SpeedtestResult = _run("speedtest", request, report, options)
    return result


def evaluate(
    request: EvaluateRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> EvaluateResult:
    """Score a submission or predictions under a named profile; options as `EvaluateRequest`."""
    result: EvaluateResult = _run("evaluate", request, report, options)
    return result


def batch_eval(
    request: BatchEvalRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> BatchEvalResult:
    """Score many submissions; options as `BatchEvalRequest`."""
    result: BatchEvalResult = _run("batch-eval", request, report, options)
    return result


def validate_submission(
    request: ValidateRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> ValidateResult:
    """Say what the official scorer would not see in a submission, and the fix; options as `ValidateRequest`."""
    result: ValidateResult = _run("validate-submission", request, report, options)
    return result


def map_labels(
    request: MapLabelsRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> MapLabelsResult:
    """Turn ground-truth ids or class arrays into targets; options as `MapLabelsRequest`."""
    result: MapLabelsResult = _run("map-labels", request, report, options)
    return result


def export(request: ExportRequest | None = None, *, report: Reporter | None = None, **options: Any) -> ExportResult:
    """Write labelled regions in the formats of other tools; options as `ExportRequest`."""
    result: ExportResult = _run("export", request, report, options)
    return result


def pack_results(request: PackRequest | None = None, *, report: Reporter | None = None, **options: Any) -> PackResult:
    """Build the zip to upload; options as `PackRequest`."""
    result: PackResult = _run("pack-results", request, report, options)
    return result


def save_volume(
    array: Any, crop: str | int, label: str, *, data_root: str | Path | None = None, **options: Any
) -> Path:
    """Write a predicted volume ``[z, y, x]`` of your own model where `pack_results` finds it.

    Parameters
    ----------
    array
        NumPy, Zarr, HDF5, dask array or torch tensor: foreground above 0, or ids of objects for instance classes.
    crop, label
        Test crop, such as ``557``, and class.
    data_root
        None: as the settings say.
    **options
        ``voxel_size_nm`` and ``translation_nm`` where they are not the crop's; ``folder`` for another place;
        ``overwrite``; ``test_manifest``.
    """
    from pathlib import Path

    from cellmap_tui.services.save_volume import save_volume as save

    settings = _settings()
    root = Path(data_root) if data_root is not None else settings.data_root
    return save(array, crop, label, **{"data_root": root, "state_dir": settings.state_dir, **options})


def submissions(state_dir: Path | None = None) -> tuple[Submission, ...]:
    """Return the log of packed and handed-in submissions, the latest first."""
    from cellmap_tui.services.submissions import list_submissions

    return list_submissions(state_dir or _settings().state_dir)


def make_datasplit(
    request: SplitRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> SplitResult:
    """Divide the crops into training and validation; options as `SplitRequest`."""
    result: SplitResult = _run("make-datasplit", request, report, options)
    return result


def get_counts(
    request: CountsRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> CountsResult:
    """Count crops, voxels and objects of each class; options as `CountsRequest`."""
    result: CountsResult = _run("get-counts", request, report, options)
    return result


def plan(request: ProposeRequest | None = None, *, report: Reporter | None = None, **options: Any) -> ProposeResult:
    """Propose class groups, scales, patches and networks; options as `ProposeRequest`."""
    result: ProposeResult = _run("plan", request, report, options)
    return result


def run(plan: JourneyRequest | str | Path, *, report: Reporter | None = None, **options: Any) -> JourneyResult:
    """Carry out a plan file, step by step, resumable; options as `JourneyRequest`, such as ``until="evaluate"``."""
    from cellmap_tui.services.journey_model import JourneyRequest

    if isinstance(plan, JourneyRequest):
        result: JourneyResult = _run("run", plan, report, options)
    else:
        result = _run("run", None, report, {"plan": plan, **options})
    return result


def train(request: TrainRequest | None = None, *, report: Reporter | None = None, **options: Any) -> TrainResult:
    """Train a network on patches; stop and resume at any step; options as `TrainRequest`."""
    result: TrainResult = _run("train", request, report, options)
    return result


def predict(
    request: PredictRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> PredictResult:
    """Predict every voxel of crops or boxes with a checkpoint; options as `PredictRequest`."""
    result: PredictResult = _run("predict", request, report, options)
    return result


def process(
    request: ProcessRequest | None = None, *, report: Reporter | None = None, **options: Any
) -> ProcessResult:
    """Turn predictions into labels by a recipe per class; options as `ProcessRequest`."""
    result: ProcessResult = _run("process", request, report, options)
    return result


def tune(request: TuneRequest | None = None, *, report: Reporter | None = None, **options: Any) -> TuneResult:
    """Find the best post-processing per class on validation crops; options as `TuneRequest`."""
    result: TuneResult = _run("tune", request, report, options)
    return result


def patches(split: Path | str, *, report: Reporter | None = None, **options: Any) -> PatchLoader:
    """Return the patches of a split as batches for a PyTorch loop of one's own; options as `PatchesRequest`.

    Each iteration over the result is one epoch of `batches` batches. A batch has ``raw`` (float32, 0 to 1),
    ``target`` (0 and 1) and ``known`` (bool) on the device asked for.

    Examples
    --------
    >>> patches = cm.patches("split.csv", classes=("mito", "er"), shape=(64, 64, 64))  # doctest: +SKIP
    >>> for batch in patches:  # doctest: +SKIP
    ...     loss = masked_loss(model(batch.raw), batch.target, batch.known)
    """
    from cellmap_tui.services.patches_model import PatchesRequest
    from cellmap_tui.services.patches_open import open_bank_of, open_loader

    request = _request(PatchesRequest, None, {"split": split, **options}, "patches")
    return open_loader(request, open_bank_of(request, _reporter(report)))


def doctor() -> DoctorReport:
    """Check the machine and its surroundings."""
    from cellmap_tui.services.doctor import DoctorRequest
    from cellmap_tui.services.doctor import doctor as check

    return check(DoctorRequest.of(_settings()), _reporter(None))


def runs(runs_root: Path | None = None) -> tuple[RunSummary, ...]:
    """Return all runs, the newest first."""
    from cellmap_tui.jobs.runs import list_runs

    return list_runs(runs_root or _settings().runs_root)


def _run(command: str, request: object, report: Reporter | None, options: dict[str, Any]) -> Any:
    from cellmap_tui.services.registry import find_command

    found = find_command(command)
    return found.function()(_request(found.request_model(), request, options, command), _reporter(report))


def _written(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _settings() -> Settings:
    from cellmap_tui.services.settings import load_settings

    return load_settings()


def _source(fields: dict[str, Any]) -> CatalogSource:
    from cellmap_tui.services.catalog import CatalogSource

    return _request(CatalogSource, None, fields, "catalog")


def _request(model: type[Request], request: Request | None, options: dict[str, Any], command: str) -> Request:
    """Return the request: the given one, or one from keywords with places from the settings."""
    from cellmap_tui.services.models import from_mapping

    if request is not None:
        if options:
            raise RequestError(f"{command}: give a request or keywords, not both")
        return request
    places = {"data_root", "state_dir", "endpoint_url", "bucket"} - options.keys()
    asked = {field.name for field in dataclasses.fields(model)} & places  # type: ignore[arg-type]
    settings = _settings() if asked else None
    return from_mapping({**{name: getattr(settings, name) for name in asked}, **options}, model, source=command)


def _reporter(report: Reporter | None) -> Reporter:
    from cellmap_tui.services.report import SilentReporter

    return report or SilentReporter()
