"""What is on disk and what the user set aside, asked once per crop.

Only datasets that exist below the data root are looked into, so that listing the whole challenge on a
machine without data touches the disk twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cellmap_tui.challenge.layout import local_share
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.exclusions import Exclusion


class Presence:
    """What is on disk and what is set aside; ask a new one when either may have changed.

    Parameters
    ----------
    data_root
        The data root; None or a folder that does not exist: nothing is local.

    Attributes
    ----------
    note
        Why exclusions are not known; empty when they are.
    """

    def __init__(self, data_root: Path | None) -> None:
        self.data_root = data_root
        self.note = ""
        self.datasets = _folders(data_root)
        self.exclusions = self._read_exclusions()
        self._shares: dict[str, float] = {}

    def share(self, crop: Crop) -> float:
        """Return which share of a crop is on disk, 0 to 1."""
        if self.data_root is None or crop.dataset not in self.datasets:
            return 0.0
        if crop.ref not in self._shares:
            self._shares[crop.ref] = local_share(self.data_root, crop)
        return self._shares[crop.ref]

    def take_shares(self, shares: Mapping[str, float]) -> None:
        """Take over how much of some crops, by reference, is on disk by now."""
        self._shares.update(shares)
        self.datasets |= {ref.partition("/")[0] for ref, share in shares.items() if share > 0}

    def is_local(self, crop: Crop) -> bool:
        """Return whether any data of a crop are on disk."""
        return self.share(crop) > 0

    def is_excluded(self, crop: Crop) -> bool:
        """Return whether a crop is set aside."""
        return crop.ref in self.exclusions

    def reason(self, crop: Crop) -> str | None:
        """Return why a crop is set aside, or None when it is not."""
        exclusion = self.exclusions.get(crop.ref)
        return None if exclusion is None else exclusion.reason

    def _read_exclusions(self) -> dict[str, Exclusion]:
        if self.data_root is None or not self.data_root.is_dir():
            return {}
        from cellmap_tui.challenge.exclusions import read_exclusions

        try:
            return read_exclusions(self.data_root)
        except CellmapError as error:
            self.note = f"excluded crops are not marked: {error}"
            return {}


def _folders(data_root: Path | None) -> frozenset[str]:
    """Return the names of the folders below the data root; empty where there is none."""
    if data_root is None:
        return frozenset()
    try:
        with os.scandir(data_root) as entries:
            return frozenset(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return frozenset()
