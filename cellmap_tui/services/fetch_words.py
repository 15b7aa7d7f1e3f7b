"""A fetch in words: its plan, its result, and the command that finishes it."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.services.settings import BUCKET
from cellmap_tui.text import count, duration, number, size, triple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.fetch_model import (
        CropPlan,
        FetchFailure,
        FetchPlan,
        FetchRequest,
        FetchResult,
        LevelPlan,
    )

_MOST_NAMED = 20
_MOST_OF_A_KIND = 5


def plan_sentence(plan: FetchPlan) -> str:
    """Return a plan in one line."""
    here = plan.wanted - plan.to_fetch
    words = [
        f"{count(len(plan.crops))} crops from {plan.address}",
        f"{count(plan.to_fetch.objects)} objects, {size(plan.to_fetch.bytes)} to fetch",
    ]
    if here.objects:
        words.append(f"{count(here.objects)} objects, {size(here.bytes)} are here")
    words.append(f"{size(plan.free_bytes)} free")
    if plan.estimated_s is not None and plan.to_fetch.objects:
        words.append(f"about {duration(max(1, plan.estimated_s))}")
    return "; ".join(words)


def plan_lines(plan: FetchPlan) -> list[str]:
    """Return a plan for people: every crop, every level with its reason, and the sum."""
    lines: list[str] = []
    for crop in plan.crops:
        lines += crop_lines(crop)
    lines.append(plan_sentence(plan))
    lines += [f"note: {words}" for words in plan.notes]
    lines += [f"warning: {words}" for words in plan.warnings]
    lines += [f"missing: {failure.key}: {failure.message}" for failure in plan.problems]
    return lines


def crop_lines(crop: CropPlan) -> list[str]:
    """Return a crop of a plan: its labels and every level with its reason."""
    here = f", {size(crop.here.bytes)} here" if crop.here.objects else ""
    lines = [f"{crop.ref}: {crop.what}, {count(crop.wanted.objects)} objects, {size(crop.wanted.bytes)}{here}"]
    if crop.label_classes:
        empty = f", {count(len(crop.empty_classes))} empty in the bucket" if crop.empty_classes else ""
        lines.append(f"  labels  {count(crop.labels.objects)} objects, {size(crop.labels.bytes)}{empty}")
    elif crop.split == "test":
        lines.append("  labels  of a test crop are not published")
    for level in crop.levels:
        if not level.is_fetched:
            lines.append(f"  {level.name:6}  skip   {level.reason}")
            continue
        lines.append(f"  {level.name:6}  fetch  {_level_words(level)}; {level.reason}")
    return lines


def _level_words(level: LevelPlan) -> str:
    """Return what of a level is fetched: chunks, absences, what crops above bring, bytes and voxels."""
    words = [f"{count(level.chunks)} {'chunk' if level.chunks == 1 else 'chunks'}"]
    if level.absent:
        words.append(f"{count(level.absent)} absent (fill value)")
    if level.shared:
        words.append(f"{count(level.shared)} with a crop above")
    return ", ".join([*words, size(level.wanted.bytes), f"{triple(level.voxels)} voxels"])


def result_lines(result: FetchResult) -> list[str]:
    """Return a result for people, what is missing last."""
    complete = sum(crop.state == "complete" for crop in result.crops)
    rate = result.fetched.bytes / result.elapsed_s if result.elapsed_s > 0 else 0
    lines = [
        f"{count(complete)} of {count(len(result.crops))} crops complete in {result.data_root}",
        f"fetched {count(result.fetched.objects)} objects, {size(result.fetched.bytes)} in "
        f"{duration(result.elapsed_s)} ({size(rate)}/s); {count(result.kept.objects)} were here",
    ]
    if result.absent:
        lines.append(f"{count(result.absent)} chunks of EM are not in the bucket: they read as the fill value")
    lines += [f"made here: {path}" for path in result.made_levels]
    if not result.failed:
        return lines
    lines.append(f"{count(result.failed)} objects are missing:")
    shown = _first_of_each_kind(result.failures)
    lines += [f"  {failure_words(failure)}" for failure in shown]
    if result.failed > len(shown):
        lines.append(f"  … and {count(result.failed - len(shown))} more (all with --json)")
    return [*lines, f"to finish: {result.finish_command}"]


def _first_of_each_kind(failures: Sequence[FetchFailure]) -> list[FetchFailure]:
    """Return some failures of each kind: a full disk, or a bucket that refuses, says the same of every object."""
    seen: Counter[str] = Counter()
    shown = []
    for failure in failures:
        seen[failure.kind] += 1
        if seen[failure.kind] <= _MOST_OF_A_KIND:
            shown.append(failure)
    return shown


def failure_words(failure: FetchFailure) -> str:
    """Return one failure in a line: crop, object, what went wrong."""
    tries = f" ({failure.tries} tries)" if failure.tries > 1 else ""
    whose = f"{failure.crop}: " if failure.crop else ""
    what = failure.message if failure.key in failure.message else f"{failure.key}: {failure.message}"
    return f"{whose}{what}{tries}"


def finish_command(request: FetchRequest, refs: Sequence[str], failures: Sequence[FetchFailure]) -> str:
    """Return the command that fetches what is missing; empty when nothing is."""
    if not refs and not failures:
        return ""
    crops = ",".join(refs) if 0 < len(refs) <= _MOST_NAMED else request.crops
    words = ["cellmap-tui", "--batch", "fetch-data", "--crops", crops, "--dest", str(request.data_root)]
    for flag, value in _given(request):
        words += [flag, value] if value else [flag]
    return shlex.join(words)


def _given(request: FetchRequest) -> list[tuple[str, str]]:
    """Return the options that decide which objects are wanted, and where they are."""
    options = [
        ("--classes", ",".join(request.classes)),
        ("--raw-padding", str(request.raw_padding) if request.raw_padding else ""),
        ("--raw-padding-nm", number(request.raw_padding_nm) if request.raw_padding_nm else ""),
        ("--levels", ",".join(request.levels)),
    ]
    found = [(flag, value) for flag, value in options if value]
    if request.fetch_all_em_resolutions:
        found.append(("--fetch-all-em-resolutions", ""))
    if request.make_levels:
        found.append(("--make-levels", ""))
    return [*found, *place_options(request)]


def place_options(request: FetchRequest) -> list[tuple[str, str]]:
    """Return the options that say which bucket and which manifests a request means."""
    options = [
        ("--endpoint-url", request.endpoint_url),
        ("--bucket", request.bucket if request.bucket != BUCKET else ""),
        ("--profile", request.profile),
        ("--manifest", request.manifest or ""),
        ("--train-manifest", request.train_manifest or ""),
        ("--test-manifest", request.test_manifest or ""),
    ]
    return [(flag, value) for flag, value in options if value]
