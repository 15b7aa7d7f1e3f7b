"""What the doctor is asked and what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.services.doctor_probes import Probes
    from cellmap_tui.services.settings import Settings

Status = Literal["ok", "note", "problem"]
"""Fine; worth knowing; stands in the way."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What was looked at."""
    status: Status
    """How it stands."""
    value: str
    """What was found, in one line."""
    remedy: str = ""
    """What to do, where there is something to do."""


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """What the checks need to know of the settings."""

    data_root: Path
    """Folder of the challenge data."""
    runs_root: Path
    """Folder of the run directories."""
    bucket: str
    """Name of the bucket."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    images: str = "half"
    """How slices are drawn: ``half``, ``kitty`` or ``sixel``."""
    bucket_timeout_s: float = 3.0
    """How long the bucket may take to answer."""

    @classmethod
    def of(cls, settings: Settings) -> DoctorRequest:
        """Return the request that fits the settings."""
        return cls(
            data_root=settings.data_root,
            runs_root=settings.runs_root,
            bucket=settings.bucket,
            endpoint_url=settings.endpoint_url,
            images=settings.images,
        )


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All checks, in the order in which they are shown."""

    checks: tuple[Check, ...]
    """The checks."""

    @property
    def has_problems(self) -> bool:
        """Whether one of them stands in the way."""
        return any(check.status == "problem" for check in self.checks)


@dataclass(frozen=True, slots=True)
class Examination:
    """One function of the doctor: it looks at something and answers with a few checks."""

    name: str
    """Name of its first check; stands for all of them when it fails."""
    look: Callable[[DoctorRequest, Probes], list[Check]]
    """Does the work; what it raises becomes a problem of its own."""
    limit_s: float = 15.0
    """When it has not answered by then, that is the answer."""
    late: Status = "problem"
    """How bad that is."""


def ok(name: str, value: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, "ok", _shown(value))


def note(name: str, value: str, remedy: str = "") -> Check:
    """Return a check that found something worth knowing."""
    return Check(name, "note", _shown(value), _shown(remedy))


def problem(name: str, value: str, remedy: str) -> Check:
    """Return a check that found something in the way."""
    return Check(name, "problem", _shown(value), _shown(remedy))


def _shown(text: str) -> str:
    """Return text in which no escape byte and no address with a password is left."""
    return re.sub(r"://[^/@\s]*@", "://", printable(text))


def without_secrets(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
