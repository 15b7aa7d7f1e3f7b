"""What a command would do, in a few lines for people, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.registry import find_command
from cellmap_tui.text import count, duration, printable, size, triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.demo import DemoRequest
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.import_data import ImportRequest
    from cellmap_tui.services.journey_model import JourneyRequest
    from cellmap_tui.services.map_labels_model import MapLabelsRequest
    from cellmap_tui.services.split_model import SplitRequest


_MOST_WRONG = 5


def plan_lines(command: str, request: object) -> list[str]:
    """Return what a request would do; checks the request on the way.

    Raises
    ------
    CellmapError
        If the request cannot be done; says why.
    """
    if command == "import":
        return _import_lines(request)  # type: ignore[arg-type]
    if command == "evaluate":
        return _evaluate_lines(request)  # type: ignore[arg-type]
    if command == "fetch-data":
        return _fetch_lines(request)  # type: ignore[arg-type]
    if command == "demo":
        return _demo_lines(request)  # type: ignore[arg-type]
    if command == "run":
        return _journey_lines(request)  # type: ignore[arg-type]
    if command == "map-labels":
        return _map_labels_lines(request)  # type: ignore[arg-type]
    if command == "export":
        from cellmap_tui.services.export_words import export_lines

        return export_lines(request)  # type: ignore[arg-type]
    if command == "pack-results":
        from cellmap_tui.services.pack_words import pack_lines

        return pack_lines(request)  # type: ignore[arg-type]
    if command == "make-datasplit":
        return _split_lines(request)  # type: ignore[arg-type]
    if command == "plan":
        from cellmap_tui.services.propose_words import propose_lines

        return propose_lines(request)  # type: ignore[arg-type]
    if command in ("process", "tune"):
        from cellmap_tui.services import process_words

        return process_words.process_lines(request) if command == "process" else process_words.tune_lines(request)  # type: ignore[arg-type]
    return [find_command(command).summary]


def _journey_lines(request: JourneyRequest) -> list[str]:
    from cellmap_tui.services.journey import plan_journey

    signs = {"skipped": "=", "waiting": "·"}
    return [f"{signs.get(step.state, '·')} {step.name}: {step.words}" for step in plan_journey(request)]


def _import_lines(request: ImportRequest) -> list[str]:
    from cellmap_tui.services.import_data import plan_import

    plan = plan_import(request)
    arrays = [
        f"{array.name}: {array.kind}, {triple(array.shape)} at {voxel(array.voxel_size_nm)} nm, {array.levels} levels"
        for array in plan.arrays
    ]
    return [
        f"{plan.ref} below {plan.data_root}",
        *arrays,
        f"at most {size(plan.needed_bytes)} of {size(plan.free_bytes)} free",
        *plan.notes,
        *(f"! {words}" for words in plan.warnings),
    ]


def _map_labels_lines(request: MapLabelsRequest) -> list[str]:
    from cellmap_tui.services import map_labels_words
    from cellmap_tui.services.map_labels import plan_map_labels
    from cellmap_tui.services.report import SilentReporter

    return map_labels_words.plan_lines(plan_map_labels(request, SilentReporter()))


def _fetch_lines(request: FetchRequest) -> list[str]:
    from cellmap_tui.services import fetch_words
    from cellmap_tui.services.fetch_plan import plan_fetch
    from cellmap_tui.services.report import SilentReporter

    return fetch_words.plan_lines(plan_fetch(request, SilentReporter()))


def _split_lines(request: SplitRequest) -> list[str]:
    from cellmap_tui.services.split import csv_paths, plan_split

    plan = plan_split(request)
    counts = [
        f"{row.name}: {_many(row.train, 'training crop')} and {_many(row.validate, 'validation crop')} show it"
        for row in plan.counts
    ]
    return [
        f"{_many(plan.train, 'crop')} train, {plan.validate} validate, {len(plan.dropped)} left out",
        *counts,
        *plan.notes,
        *(f"! {printable(words)}" for words in plan.warnings),
        *(f"writes {path}" for path in csv_paths(request)),
    ]


def _demo_lines(request: DemoRequest) -> list[str]:
    small = request.size == "small"
    lasts = "about 80 M and a quarter of a minute" if small else "about 20 M and a few seconds"
    what = "the data" if request.make_only else "the data and a walk through what can be done with them"
    return [f"a synthetic cell in {request.root}", f"{what}: {lasts}", "what an earlier run has finished is kept"]


def _evaluate_lines(request: EvaluateRequest) -> list[str]:
    from cellmap_tui.services.evaluate import plan_evaluate
    from cellmap_tui.services.report import SilentReporter

    plan = plan_evaluate(request, SilentReporter())
    crops, classes = len({pair.crop for pair in plan.pairs}), len({pair.label for pair in plan.pairs})
    states = {
        state: sum(pair.state == state for pair in plan.pairs) for state in ("score", "kept", "missing", "error")
    }
    words = {"score": "to score", "kept": "kept of before", "missing": "missing", "error": "wrong"}
    wrong = [f"! {pair.crop}/{pair.label}: {pair.words}" for pair in plan.pairs if pair.state == "error"]
    memory = f"{size(plan.peak_bytes)} of {size(plan.budget_bytes)} memory ({plan.budget_origin})"
    return [
        f"{count(len(plan.pairs))} pairs of {_many(crops, 'crop')} and {_many(classes, 'class')}: "
        + ", ".join(f"{count(number)} {words[state]}" for state, number in states.items() if number),
        f"{count(plan.voxels)} voxels with {_many(plan.workers or 1, 'process')}: about {duration(plan.eta_s)}",
        memory,
        f"profile {plan.profile}{', provisional: its formula is not published in full' if plan.provisional else ''}",
        *plan.notes,
        *(printable(line) for line in wrong[:_MOST_WRONG]),
        *(f"! {line}" for line in plan.warnings),
    ]


def _many(number: int, thing: str) -> str:
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{count(number)} {thing if number == 1 else plural}"
