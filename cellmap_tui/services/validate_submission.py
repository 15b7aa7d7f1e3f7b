"""`validate-submission`: whether everything is there, and seen by the official scorer as it is meant.

Nothing is scored. Names, metadata and, unless asked to be quick, every voxel are looked at in place.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.services.submission_tree import open_tree
from cellmap_tui.services.validate_layout import PACK, Layout, find_layout, size_finding
from cellmap_tui.services.validate_model import Coverage, Finding, ValidateRequest, ValidateResult
from cellmap_tui.services.validate_volume import Look, look_at, unknown_label
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.challenge.crops import Annotation, Crop
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.services.submission_tree import SubmissionTree

__all__ = ["ValidateRequest", "ValidateResult", "validate_submission"]

_SEVERITIES = ("error", "warning", "note")


def validate_submission(request: ValidateRequest, report: Reporter) -> ValidateResult:
    """Look through a submission.

    Parameters
    ----------
    request
        Which one, and which test volumes are required.
    report
        Told volumes as they are looked at.

    Returns
    -------
    ValidateResult
        Coverage and findings; its exit code is 1 when something was found.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataError
        If it is neither a folder nor a zip, or the manifest is wrong.
    Stopped
        When the user asked to stop.
    """
    from cellmap_tui.scoring.limits import Limits
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    source = CatalogSource(state_dir=request.state_dir, test_manifest=request.test_manifest)
    crops = [crop for crop in open_catalog(source, report).crops if crop.split == "test"]
    required = [annotation for crop in crops for annotation in crop.annotations()]
    limit_bytes = Limits.from_environment().max_uncompressed_bytes
    with open_tree(request.submission) as tree:
        layout, findings = find_layout(tree, {crop.name for crop in crops})
        findings += size_finding(tree.total_bytes, limit_bytes)
        looks = _look_at_all(tree, layout, required, report, quick=request.quick)
        size_bytes = tree.total_bytes
    findings += _not_required(layout, crops)
    coverage = _coverage(required, looks)
    findings += [finding for look in looks.values() for finding in look.findings]
    findings += _missing(coverage)
    states = Counter(row.state for row in coverage)
    return ValidateResult(
        submission=request.submission,
        required=len(required),
        present=states["present"] + states["empty"],
        empty=states["empty"],
        coverage=coverage,
        findings=tuple(sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))),
        size_bytes=size_bytes,
        limit_bytes=limit_bytes,
    )


def _look_at_all(
    tree: SubmissionTree, layout: Layout, required: Sequence[Annotation], report: Reporter, *, quick: bool
) -> dict[tuple[str, str], Look]:
    from cellmap_tui.scoring.profiles import scoring_of

    looks: dict[tuple[str, str], Look] = {}
    for done, annotation in enumerate(required):
        report.checkpoint()
        report.progress(done, len(required), "volumes")
        key = (annotation.crop.name, annotation.class_name)
        if key not in layout.volumes:
            continue
        look = look_at(
            tree,
            layout.volumes[key],
            annotation.grid,
            where="/".join(key),
            is_instance=scoring_of(key[1]) == "instance",
            quick=quick,
            checkpoint=report.checkpoint,
        )
        if key in layout.hidden:
            look.state = "wrong"
        looks[key] = look
    report.progress(len(required), len(required), "volumes")
    return looks


def _not_required(layout: Layout, crops: Sequence[Crop]) -> list[Finding]:
    classes = {crop.name: crop.classes for crop in crops}
    extra = [(crop, label) for crop, label in layout.volumes if label not in classes.get(crop, ())]
    return [unknown_label(crop, label, classes.get(crop, ())) for crop, label in extra]


def _coverage(required: Sequence[Annotation], looks: dict[tuple[str, str], Look]) -> tuple[Coverage, ...]:
    of_class: Counter[str] = Counter()
    for annotation in required:
        of_class[annotation.class_name] += annotation.grid.voxels
    rows = []
    for annotation in required:
        key = (annotation.crop.name, annotation.class_name)
        look = looks.get(key)
        share = annotation.grid.voxels / of_class[annotation.class_name]
        state = look.state if look else "missing"
        cost = (
            cost_words(annotation.class_name, annotation.grid.voxels, share) if state in ("missing", "wrong") else ""
        )
        rows.append(Coverage(*key, state, annotation.grid.voxels, share, cost))
    return tuple(rows)


def cost_words(label: str, voxels: int, share: float) -> str:
    """Return what a volume that is not there costs: more than an empty one would."""
    from cellmap_tui.scoring.profiles import scoring_of

    if scoring_of(label) == "semantic":
        best = f"{1 - share:.2f}".rstrip("0").rstrip(".")
        return f"all {count(voxels)} voxels count as missed; the IoU of {label} can be {best} at most"
    return f"every object of the truth counts as missed, with boundary score 0 ({share:.0%} of the voxels of {label})"


def _missing(coverage: Sequence[Coverage]) -> list[Finding]:
    fix = f"an empty volume costs less than none: {PACK} --fill-missing zeros"
    return [
        Finding("warning", "missing", f"{printable(row.crop)}/{row.label}", f"is not there: {row.cost}", fix)
        for row in coverage
        if row.state == "missing"
    ]
