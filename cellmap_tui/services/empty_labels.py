"""Labels that are empty in the bucket: arrays without a single chunk, known before anything is downloaded.

An empty array is information: the class is absent from the crop. It is remembered from every listing of a
crop's labels, for all data roots, so that the browser and whoever picks classes can tell.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cellmap_tui.services.settings import BUCKET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "empty-labels.json"
_VERSION = 1


def empty_labels(
    state_dir: Path | None, *, bucket: str = BUCKET, endpoint_url: str = ""
) -> dict[str, frozenset[str]]:
    """Return the classes that are known to be empty in a bucket, by crop.

    Parameters
    ----------
    state_dir
        Where they are remembered.
    bucket, endpoint_url
        Which bucket.

    Returns
    -------
    dict
        ``dataset/crop234`` to class names. A crop that is not in it was never listed; one with an empty set
        has voxels in every class.
    """
    known = _read(state_dir).get(_place(bucket, endpoint_url), {})
    if not isinstance(known, dict):
        return {}
    return {ref: frozenset(map(str, names)) for ref, names in known.items() if isinstance(names, list)}


def remember_empty_labels(
    state_dir: Path | None, found: Mapping[str, tuple[str, ...]], *, bucket: str = BUCKET, endpoint_url: str = ""
) -> None:
    """Remember what a listing showed; a folder that cannot be written changes nothing."""
    if state_dir is None or not found:
        return
    known = _read(state_dir)
    place = _place(bucket, endpoint_url)
    before = known.get(place)
    after = {**(before if isinstance(before, dict) else {}), **{ref: sorted(names) for ref, names in found.items()}}
    if after == before:
        return
    path = state_dir / FILE
    temporary = path.with_name(f"{FILE}.{os.getpid()}.tmp")
    content = {"version": _VERSION, "buckets": {**known, place: after}}
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return  # it is found again by the next listing


def _place(bucket: str, endpoint_url: str) -> str:
    return f"{endpoint_url.rstrip('/')}/{bucket}" if endpoint_url else bucket


def _read(state_dir: Path | None) -> dict[str, Any]:
    if state_dir is None:
        return {}
    try:
        value = json.loads((state_dir / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    buckets = value.get("buckets") if isinstance(value, dict) and value.get("version") == _VERSION else None
    return buckets if isinstance(buckets, dict) else {}
