"""The journey on the demo's data: a look at them, then the plan that leads from the bucket to a score.

The looks are functions here, one each; everything else is steps of ``demo_journey.toml``, which the demo keeps as
``plan.toml`` and which users can carry out, change and copy. A new step of the journey is a step of that plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.text import count, size, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.services.demo_root import DemoRoot
    from cellmap_tui.services.journey_model import JourneyResult, StepResult
    from cellmap_tui.services.report import Reporter

    Step = Callable[[DemoRoot, Reporter], "StepOutcome"]

FILTER = "mito voxel<=8 local split:train"
"""Filter that the journey shows."""
INSPECTED_CROP = "9002"
RESIN_CROP = "9006"


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


def make_stand_in(paths: DemoRoot, report: Reporter) -> StepOutcome:
    """Damage the truth of the test crops, in place of a model's output."""
    from cellmap_tui.challenge.catalog import load_catalog
    from cellmap_tui.services.demo_damage import write_stand_in

    catalog = load_catalog(data_root=paths.data_root)
    crops = tuple(crop for crop in catalog.crops if crop.source == "demo" and crop.split == "test")
    volumes = write_stand_in(paths.stand_in, paths.truth, crops, report)
    report.artefact(paths.stand_in, "predictions")
    return StepOutcome("stand-in", f"{volumes} volumes of damaged truth, in place of a model's output")


STEPS: tuple[Step, ...] = (list_crops, inspect_crops, draw_slices, make_stand_in)
"""What is done before the plan, in order."""

NOT_AVAILABLE: tuple[str, ...] = ()
"""Steps of the whole journey that this version does not have. The demo makes its data in place: `fetch-data` and
`verify` have a bucket to work on in its folder, but a server for it is not part of the product."""

TARGETS = """\
# What the demo's networks and exports should produce; see docs/targets.md.
[targets]
mito = { classes = ["mito"], core = true }
er = ["er"]
nuc = ["nuc"]
ves = { classes = ["ves"], core = true }
"""


TRAINING = """\
# A network that is small enough for the demo: enough to see every step, not to learn much.
targets_path = "targets.toml"
datasplit_path = "datasplit.csv"
model_name = "basicunet"
model_kwargs = { features = [16, 16, 32, 32, 32, 16] }
input_array_info = { shape = [1, 32, 32], scale = [8, 8, 8] }
batch_size = 8
iterations_per_epoch = 30
epochs = 2
warmup_epochs = 0
validation_time_limit = 3
device = "cpu"
"""


def write_plan(paths: DemoRoot) -> None:
    """Put the plan and its targets into the demo, where it does not have them; edited ones stay."""
    plan = Path(__file__).with_name("demo_journey.toml").read_text(encoding="utf-8")
    for path, text in ((paths.plan, plan), (paths.targets, TARGETS), (paths.training_config, TRAINING)):
        if not path.exists():
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)


def run_plan(paths: DemoRoot, report: Reporter) -> JourneyResult:
    """Carry out the plan."""
    from cellmap_tui.services.journey import run_journey
    from cellmap_tui.services.journey_model import JourneyRequest

    return run_journey(JourneyRequest(paths.plan, state_dir=paths.root / ".state"), report)


def plan_outcomes(result: JourneyResult) -> tuple[StepOutcome, ...]:
    """Return what came out of each step of the plan, in a line each."""
    return tuple(StepOutcome(step.name, _words(step)) for step in result.steps)


def _words(step: StepResult) -> str:
    words = _WORDS.get(step.command)
    said = words(step.result) if words is not None and step.result else step.words
    return f"{said} (done before)" if step.state == "skipped" else said


def _score(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "fetch-data": lambda r: (
        f"{len(r['crops'])} crops, {count(r['fetched']['objects'])} objects, {size(r['fetched']['bytes'])} fetched, "
        f"{count(r['failed'])} failed"
    ),
    "verify": lambda r: (
        f"{len(r['crops'])} crops: {count(r['present'])} objects right, {count(r['missing'])} missing, "
        f"{count(r['corrupt'])} corrupt"
    ),
    "get-counts": lambda r: f"{len(r['classes'])} classes in {len(r['crops'])} crops: {r['output']}",
    "make-datasplit": lambda r: f"{', '.join(r['csv_paths'])}, seed {r['seed']}",
    "map-labels": lambda r: f"{len(r['volumes'])} volumes of {', '.join(r['targets'])}",
    "export": lambda r: f"{r['crops']} crops as {r['format']}, {size(r['size_bytes'])}: {r['output']}",
    "pack-results": lambda r: (
        f"{count(r['present'] + r['empty'])} of {count(r['required'])} volumes packed, {count(r['filled'])} filled "
        f"with zeros, {size(r['size_bytes'])}: {r['zip']}"
    ),
    "validate-submission": lambda r: f"{count(r['present'])} of {count(r['required'])} volumes, nothing wrong",
    "train": lambda r: f"{r['epochs']} epochs, best mean Dice {_score(r['best_value'])}: {r['folder']}",
    "predict": lambda r: f"{len(r['crops'])} crops, {count(r['tiles'])} tiles: {r['output']}",
    "process": lambda r: f"{len(r['volumes'])} volumes: {r['output']}",
    "evaluate": lambda r: f"overall {_score(r['overall_score'])} ({r['profile']}): {r['result_file']}",
}
"""Command to its result in words."""
