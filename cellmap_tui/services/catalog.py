"""The catalog as a task: opened from what the user gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - requests are read by their annotations
from typing import TYPE_CHECKING

from cellmap_tui.challenge.catalog import Catalog, load_catalog, refreshed_table
from cellmap_tui.services.published import TIMEOUT_S, manifests_from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.challenge.manifests import ManifestFile, Manifests
    from cellmap_tui.services.report import Reporter


@dataclass(frozen=True, slots=True)
class CatalogSource:
    """Where crops are looked up; what every command that reads the catalog takes."""

    data_root: Path | None = None
    """Data root whose local catalog is joined in."""
    state_dir: Path | None = None
    """Folder in which a refreshed table is looked for."""
    manifest: str | None = None
    """Path or address of a list of training crops, in place of the published one."""
    train_manifest: str | None = None
    """Path or address of the annotations of those crops."""
    test_manifest: str | None = None
    """Path or address of the test volumes, in place of the published ones."""


def open_catalog(
    source: CatalogSource, report: Reporter | None = None, *, environ: Mapping[str, str] | None = None
) -> Catalog:
    """Open the catalog.

    Parameters
    ----------
    source
        What the user gave; manifests that are not given come from the toolbox's environment variables.
    report
        Asked while a manifest is downloaded whether to stop.
    environ
        In place of `os.environ`.

    Raises
    ------
    CellmapError
        If a manifest cannot be read or has a wrong field.
    """
    by_variable, test_by_variable = manifests_from_environment(environ)
    chosen = {
        "manifest": source.manifest or by_variable,
        "train_manifest": source.train_manifest,
        "test_manifest": source.test_manifest or test_by_variable,
    }
    manifests = read_manifests(chosen, report, TIMEOUT_S) if any(chosen.values()) else None
    return load_catalog(data_root=source.data_root, state_dir=source.state_dir, manifests=manifests)


def catalog_origin(state_dir: Path | None) -> str:
    """Return in words which table of the challenge's crops is in use."""
    from cellmap_tui.challenge.crop_table import table_origin

    path = None if state_dir is None else refreshed_table(state_dir)
    if path is None or not path.is_file() or load_catalog(state_dir=state_dir).notes:
        return "built-in"
    return f"refreshed {table_origin(path.read_text(encoding='utf-8'))}".strip()


def read_manifests(chosen: Mapping[str, str | None], report: Reporter | None, timeout_s: float) -> Manifests:
    """Read and check the manifests that are named; a source that is None stays out.

    Raises
    ------
    CellmapError
        If one cannot be read or has a wrong field.
    """
    from cellmap_tui.challenge.manifests import parse_manifests
    from cellmap_tui.services.manifest_source import read_manifest

    files: dict[str, ManifestFile] = {}
    wanted = {name: source for name, source in chosen.items() if source}
    for done, (name, source) in enumerate(wanted.items()):
        if report is not None:
            report.progress(done, len(wanted), "manifests")
        files[name] = read_manifest(source, report, timeout_s=timeout_s)
    if report is not None:
        report.progress(len(wanted), len(wanted), "manifests")
    return parse_manifests(
        manifest=files.get("manifest"),
        train_manifest=files.get("train_manifest"),
        test_manifest=files.get("test_manifest"),
    )
