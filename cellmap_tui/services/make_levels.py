"""Coarser EM levels that the bucket lacks, computed from the finer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.report import Reporter


def make_levels(
    data_root: Path, crops: Sequence[Crop], report: Reporter, raw_padding: int = 0, raw_padding_nm: float = 0.0
) -> tuple[str, ...]:
    """Compute missing levels."""
    return ()
