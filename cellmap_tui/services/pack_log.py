"""A zip that was just packed, into the log of submissions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError
from cellmap_tui.services.pack_provenance import provenance
from cellmap_tui.services.submission_log import SubmissionLog

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.pack_model import PackRequest, PackResult
    from cellmap_tui.services.pack_parts import Part
    from cellmap_tui.services.pack_plan import Prepared
    from cellmap_tui.services.pack_work import Packed
    from cellmap_tui.services.report import Reporter


def log_packed(request: PackRequest, prepared: Prepared, packed: Packed, result: PackResult, report: Reporter) -> str:
    """Note a finished zip and return its id; a log that cannot be written is a warning, the zip is there."""
    if result.zip is None:
        return ""
    jobs = [job for job in prepared.jobs if job.name in packed.parts]
    facts = {
        "size_bytes": result.size_bytes,
        "required": result.required,
        "present": result.present,
        "empty": result.empty,
        "missing": result.missing,
        "provenance": provenance(request, jobs),
        "is_packed": True,
    }
    volumes = {name: _digest(name, part) for name, part in packed.parts.items()}
    try:
        return SubmissionLog(_state_dir(request)).add_packed(result.zip, result.sha256, facts, volumes)
    except (CellmapError, OSError) as error:
        report.warning(f"the zip is in place but not in the log of submissions: {error}")
        return ""


def _digest(name: str, part: Part) -> str:
    """Return the hash of a volume: the same as `ZipPrints` gives for it in the zip."""
    digest = hashlib.sha256()
    for member, checksum, size_bytes, _ in sorted(part.members, key=lambda m: (m[0], m[2], m[1])):
        digest.update(f"{member[len(name) :]}\0{size_bytes} {checksum}\0".encode())
    return digest.hexdigest()


def _state_dir(request: PackRequest) -> Path:
    if request.state_dir is not None:
        return request.state_dir
    from cellmap_tui.services.settings import load_settings

    return load_settings().state_dir
