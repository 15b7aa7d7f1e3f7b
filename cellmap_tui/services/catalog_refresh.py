"""Refreshing the catalog: the published manifests are read again, compared, and put in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import TYPE_CHECKING

from cellmap_tui.challenge.catalog import builtin_catalog, load_catalog, refreshed_table
from cellmap_tui.challenge.differences import CatalogDiff, crops_sha256, diff_crops
from cellmap_tui.errors import CellmapError
from cellmap_tui.services.catalog import read_manifests
from cellmap_tui.services.published import (
    MANIFEST_VARIABLE,
    PUBLISHED_MANIFEST,
    PUBLISHED_TEST_MANIFEST,
    PUBLISHED_TRAIN_MANIFEST,
    TEST_MANIFEST_VARIABLE,
    TIMEOUT_S,
)

if TYPE_CHECKING:
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.manifests import Manifests
    from cellmap_tui.services.report import Reporter


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """Read the published manifests again."""

    state_dir: Path
    """Folder in which the refreshed table is kept."""
    manifest: str | None = None
    """Path or address of the list of training crops."""
    train_manifest: str | None = None
    """Path or address of their annotations."""
    test_manifest: str | None = None
    """Path or address of the test volumes. Where none of the three is given, all are read from where the
    official toolbox publishes them; otherwise those that are not given stay as they are."""
    builtin: bool = False
    """Return to the table that came with this version."""
    dry_run: bool = False
    """Show the difference and keep the old table."""
    timeout_s: float = TIMEOUT_S
    """Seconds after which an address is given up."""


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """What a refresh found."""

    diff: CatalogDiff
    """What differs from the table that was in use."""
    sha256: str
    """Hash of the new table's content."""
    sha256_before: str
    """Hash of the old one's."""
    crops: int
    """Crops in the new table."""
    annotations: int
    """Training crops times their classes."""
    test_volumes: int
    """Test crops times their scored classes."""
    sources: tuple[str, ...]
    """Where it was read from."""
    written: bool
    """Whether the new table is in use now; not after a dry run."""
    notes: tuple[str, ...] = ()
    """What else there is to know."""


def refresh_catalog(request: RefreshRequest, report: Reporter) -> RefreshResult:
    """Read the published manifests again and use them from now on.

    The old table stays in use until the new one is complete and valid in every field.

    Raises
    ------
    CellmapError
        If a manifest cannot be read or has a wrong field, or the state folder cannot be written.
    """
    before = load_catalog(state_dir=request.state_dir)
    sources: tuple[str, ...] = ("built-in",)
    notes: tuple[str, ...] = ()
    if request.builtin:
        crops = builtin_catalog().crops
    else:
        chosen = _sources(request)
        manifests = read_manifests(chosen, report, request.timeout_s)
        crops = _joined(before.crops, manifests)
        sources, notes = tuple(filter(None, chosen.values())), manifests.notes
    report.checkpoint()
    diff = diff_crops(before.crops, crops)
    sha256 = crops_sha256(crops)
    if not request.dry_run:
        _keep(request, crops, sources)
    return RefreshResult(
        diff=diff,
        sha256=sha256,
        sha256_before=crops_sha256(before.crops),
        crops=len(crops),
        annotations=diff.annotations_after,
        test_volumes=diff.test_volumes_after,
        sources=sources,
        written=not request.dry_run,
        notes=(*before.notes, *notes),
    )


def _sources(request: RefreshRequest) -> dict[str, str | None]:
    import os

    given = {
        "manifest": request.manifest,
        "train_manifest": request.train_manifest,
        "test_manifest": request.test_manifest,
    }
    if any(given.values()):
        return given
    return {
        "manifest": os.environ.get(MANIFEST_VARIABLE) or PUBLISHED_MANIFEST,
        "train_manifest": PUBLISHED_TRAIN_MANIFEST,
        "test_manifest": os.environ.get(TEST_MANIFEST_VARIABLE) or PUBLISHED_TEST_MANIFEST,
    }


def _joined(old: tuple[Crop, ...], manifests: Manifests) -> tuple[Crop, ...]:
    """Return the new table: what was given in place of what it replaces, as crops of the challenge."""
    from dataclasses import replace

    kept = [crop for crop in old if not manifests.replaces(crop)]
    added = [replace(crop, source="challenge") for crop in manifests.crops]
    by_ref = {crop.ref: crop for crop in (*kept, *added)}
    return tuple(sorted(by_ref.values(), key=lambda crop: (crop.dataset, crop.id)))


def _keep(request: RefreshRequest, crops: tuple[Crop, ...], sources: tuple[str, ...]) -> None:
    """Put the new table in use."""
    from datetime import UTC, datetime

    from cellmap_tui.challenge.crop_table import format_crop_table
    from cellmap_tui.challenge.sidecar import write_text

    path = refreshed_table(request.state_dir)
    try:
        if request.builtin:
            path.unlink(missing_ok=True)
            return
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, format_crop_table(crops, origin=f"{when} from {', '.join(sources)}"))
    except OSError as error:
        raise CellmapError(f"cannot write {path}: {error.strerror}", "check the permissions and the disk") from None
