"""Options that replace the built-in tables, the same for every command that reads the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.catalog import CatalogSource


def add_manifest_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("manifests in place of the built-in tables (CSV file or URL)")
    group.add_argument("--manifest", metavar="CSV|URL", help="training crops, columns of the published manifest.csv")
    group.add_argument("--train-manifest", metavar="CSV|URL", help="annotations: a row per crop and class")
    group.add_argument("--test-manifest", metavar="CSV|URL", help="columns of test_crop_manifest.csv")


def catalog_source(args: argparse.Namespace, context: Context) -> CatalogSource:
    """Return where the catalog of this call comes from."""
    from cellmap_tui.services.catalog import CatalogSource
    from cellmap_tui.services.settings import checked_data_root

    return CatalogSource(
        data_root=checked_data_root(context.settings),
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def catalog_for(args: argparse.Namespace, context: Context) -> Catalog:
    """Open the catalog of this call and tell its notes."""
    from cellmap_tui.services.catalog import open_catalog

    catalog = open_catalog(catalog_source(args, context))
    if not context.quiet:
        for words in catalog.notes:
            diagnostics.note(words)
    return catalog
