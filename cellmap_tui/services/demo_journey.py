"""The journey on the demo's data: one function per step, in order.

A step takes the demo's folder and a reporter, uses the services as any user would, and says in one
line what came out. A new step is a function appended to `STEPS`, and its name leaves `NOT_AVAILABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.text import count, size, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.services.demo_root import DemoRoot
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.report import Reporter

    Step = Callable[[DemoRoot, Reporter], "StepOutcome"]

FILTER = "mito voxel<=8 local split:train"
"""Filter that the journey shows."""
INSPECTED_CROP = "9002"
RESIN_CROP = "9006"
FETCHED_CROPS = "9002,9101"


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A step of the journey that was made."""

    name: str
    """Name of the step; the command's, where there is one."""
    outcome: str
    """What came out, in one line."""


def list_crops(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Find crops with the filter language."""
    from cellmap_tui.challenge.catalog import load_catalog

    catalog = load_catalog(data_root=paths.data_root)
    own = [crop for crop in catalog.crops if crop.source == "demo"]
    found = catalog.select(FILTER)
    names = ", ".join(str(crop.id) for crop in found)
    return StepOutcome("crops", f"{len(own)} crops of the demo in the catalog; '{FILTER}' finds {names}")


def inspect_crops(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Look into the arrays of an ordinary crop and of the one of empty resin."""
    from collections import Counter

    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.services.inspect import inspect_crop

    catalog = load_catalog(data_root=paths.data_root)
    crop = catalog.find(INSPECTED_CROP)
    facts = inspect_crop(paths.data_root, crop, catalog)
    report.checkpoint()
    badges = Counter(fact.badge for fact in facts.classes)
    mito = next(fact.words for fact in facts.classes if fact.name == "mito")
    resin = inspect_crop(paths.data_root, catalog.find(RESIN_CROP), catalog)
    return StepOutcome(
        "inspect",
        f"crop {crop.id}, {triple(crop.grid.shape)} voxels of {voxel(crop.grid.voxel_size_nm)} nm: "
        f"{', '.join(f'{count} {badge}' for badge, count in badges.items())}; mito: {mito}; "
        f"crop {RESIN_CROP}: {resin.badge or 'not empty'}",
    )


def draw_slices(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Draw slices with labels into PNG files."""
    from cellmap_tui.services.slices import SliceLook, SliceRequest, draw_slice
    from cellmap_tui.volumes.slices import save_png

    looks = {
        "9001": SliceLook(axis="z", width_px=512, height_px=512, overlay="off"),
        "9001-labels": SliceLook(axis="z", width_px=512, height_px=512, classes=("mito", "er", "nuc", "ves")),
        "9011": SliceLook(axis="y", width_px=512, height_px=512, overlay="outline", classes=("mito", "er_mem", "ne")),
    }
    paths.slices.mkdir(exist_ok=True)
    for name, look in looks.items():
        report.checkpoint()
        picture = draw_slice(SliceRequest(paths.data_root, name.partition("-")[0], look))
        path = paths.slices / f"crop{name}-{look.axis}.png"
        save_png(path, picture.rgb)
        report.artefact(path, "picture")
    return StepOutcome("visualize", f"{len(looks)} slices in {paths.slices}")


def fetch_crops(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Fetch a training and a test crop from the demo's bucket, read in place, into a folder of their own."""
    from cellmap_tui.services.fetch import fetch

    result = fetch(_fetch_request(paths), report)
    return StepOutcome(
        "fetch-data",
        f"{len(result.crops)} crops, {count(result.fetched.objects)} objects, {size(result.fetched.bytes)} fetched, "
        f"{count(result.kept.objects)} were in {paths.fetched}; {count(result.failed)} missing",
    )


def verify_crops(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Compare what was fetched with the bucket."""
    from cellmap_tui.services.verify import VerifyRequest, verify

    asked = _fetch_request(paths)
    result = verify(
        VerifyRequest(
            data_root=asked.data_root,
            endpoint_url=asked.endpoint_url,
            bucket=asked.bucket,
            manifest=asked.manifest,
            train_manifest=asked.train_manifest,
            test_manifest=asked.test_manifest,
        ),
        report,
    )
    wrong = f"{count(result.missing)} missing, {count(result.corrupt)} corrupt"
    return StepOutcome("verify", f"{len(result.crops)} crops: {count(result.present)} objects right, {wrong}")


def _fetch_request(paths: DemoRoot) -> FetchRequest:
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.settings import BUCKET

    return FetchRequest(
        data_root=paths.fetched,
        crops=FETCHED_CROPS,
        raw_padding=16,
        endpoint_url=paths.bucket_root.as_uri(),
        bucket=BUCKET,
        manifest=str(paths.manifest),
        train_manifest=str(paths.train_manifest),
        test_manifest=str(paths.test_manifest),
    )


def check_submission(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Write the plainest submission there is, and look whether the challenge would take it."""
    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.services.demo_baseline import write_baseline
    from cellmap_tui.services.validate_submission import ValidateRequest, validate_submission

    catalog = load_catalog(data_root=paths.data_root)
    crops = tuple(crop for crop in catalog.crops if crop.source == "demo" and crop.split == "test")
    volumes = write_baseline(paths.submission, paths.data_root, crops, report)
    report.artefact(paths.submission, "submission")
    result = validate_submission(ValidateRequest(paths.submission, test_manifest=str(paths.test_manifest)), report)
    found = f"{len(result.findings)} findings" if result.findings else "nothing found"
    return StepOutcome("validate-submission", f"{volumes} volumes of one threshold on the EM: {found}")


def score_submission(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Score it against the truth as the challenge would."""
    from cellmap_tui.services.evaluate import EvaluateRequest, evaluate

    request = EvaluateRequest(
        submission=paths.submission,
        truth=paths.truth,
        test_manifest=str(paths.test_manifest),
        result_file=paths.result_file,
    )
    result = evaluate(request, report)
    score = "-" if result.overall_score is None else f"{result.overall_score:.4f}"
    return StepOutcome(
        "evaluate", f"overall {score} ({result.profile}), what a network has to beat; {paths.result_file}"
    )


STEPS: tuple[Step, ...] = (
    list_crops,
    inspect_crops,
    draw_slices,
    fetch_crops,
    verify_crops,
    check_submission,
    score_submission,
)
"""What this version can do, in the order of the journey."""

NOT_AVAILABLE = (
    "make-datasplit",
    "train",
    "predict",
    "process",
    "pack-results",
    "export",
)
"""Steps of the whole journey that this version does not have. The demo makes its data in place: `fetch-data` and
`verify` have a bucket to work on in its folder, but a server for it is not part of the product."""
