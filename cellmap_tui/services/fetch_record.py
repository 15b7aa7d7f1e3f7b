"""What was asked of each crop, remembered beside the data, so that `verify` knows what should be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellmap_tui.challenge.sidecar import change_sidecar, read_sidecar
from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_model import FetchRequest

FILE = "fetched.json"
_KEY = "requests"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fetch asked of a crop."""

    ref: str
    """Crop."""
    classes: tuple[str, ...] = ()
    """Classes; none: all."""
    raw_padding: int = 0
    """EM around it, in voxels of each level."""
    raw_padding_nm: float = 0.0
    """EM around it in nm."""
    levels: tuple[str, ...] = ()
    """Levels of the EM; none: those that the rule takes."""
    everything: bool = False
    """Whether every level was asked for."""
    labels: bool = True
    """Whether any labels were asked for."""
    em: bool = True
    """Whether any EM was asked for."""

    @classmethod
    def by(cls, request: FetchRequest, ref: str) -> Asked:
        """Return what a request asks of a crop."""
        return cls(
            ref,
            tuple(sorted(request.classes)),
            request.raw_padding,
            request.raw_padding_nm,
            tuple(sorted(request.levels)),
            request.fetch_all_em_resolutions,
        )


def remember_request(request: FetchRequest, crops: Iterable[Crop]) -> None:
    """Remember what a fetch asks of its crops.

    Raises
    ------
    CellmapError
        If the file beside the data is damaged or cannot be written.
    """
    new = [Asked.by(request, crop.ref) for crop in crops]

    def joined(rows: list[Any]) -> list[Any]:
        asked = dict.fromkeys((*(_parsed(row) for row in rows), *new))
        return [_as_row(one) for one in asked]

    change_sidecar(request.data_root, FILE, _KEY, joined)


def read_requests(data_root: Path) -> dict[str, tuple[Asked, ...]]:
    """Return what was asked, by crop; empty where nothing is remembered.

    Raises
    ------
    DataError
        If the file beside the data is damaged; names it.
    """
    found: dict[str, tuple[Asked, ...]] = {}
    for row in read_sidecar(data_root, FILE, _KEY):
        asked = _parsed(row)
        found[asked.ref] = (*found.get(asked.ref, ()), asked)
    return found


def _as_row(asked: Asked) -> dict[str, Any]:
    return {
        "ref": asked.ref,
        "classes": list(asked.classes),
        "raw_padding": asked.raw_padding,
        "raw_padding_nm": asked.raw_padding_nm,
        "levels": list(asked.levels),
        "all": asked.everything,
    }


def _parsed(row: Any) -> Asked:
    try:
        return Asked(
            ref=str(row["ref"]),
            classes=tuple(map(str, row["classes"])),
            raw_padding=int(row["raw_padding"]),
            raw_padding_nm=float(row["raw_padding_nm"]),
            levels=tuple(map(str, row["levels"])),
            everything=bool(row["all"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{FILE} beside the data is damaged: {error}", "move it away to start anew") from None
