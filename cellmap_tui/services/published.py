"""Where the manifests are published, and the variables that name others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLISHED = (
    "https://raw.githubusercontent.com/janelia-cellmap/cellmap-segmentation-challenge"
    "/refs/heads/main/src/cellmap_segmentation_challenge/utils"
)
"""Folder of the manifests that the official toolbox publishes and reads."""
PUBLISHED_MANIFEST = f"{PUBLISHED}/manifest.csv"
PUBLISHED_TRAIN_MANIFEST = f"{PUBLISHED}/train_crop_manifest.csv"
PUBLISHED_TEST_MANIFEST = f"{PUBLISHED}/test_crop_manifest.csv"

MANIFEST_VARIABLE = "CSC_FETCH_DATA_MANIFEST_URL"
TEST_MANIFEST_VARIABLE = "CSC_TEST_CROP_MANIFEST_URL"
TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 3600.0


def manifests_from_environment(environ: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """Return the list of crops and the test manifest that the toolbox's variables name.

    A variable that names the published address changes nothing, because the built-in tables are those.
    """
    environ = os.environ if environ is None else environ
    manifest = environ.get(MANIFEST_VARIABLE) or None
    test_manifest = environ.get(TEST_MANIFEST_VARIABLE) or None
    return (
        None if manifest == PUBLISHED_MANIFEST else manifest,
        None if test_manifest == PUBLISHED_TEST_MANIFEST else test_manifest,
    )
