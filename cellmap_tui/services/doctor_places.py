"""The places: data root, runs root, the bucket and the clock that its server shows."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from cellmap_tui.services.doctor_model import Check, DoctorRequest, note, ok, problem, without_secrets
from cellmap_tui.text import duration, size

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.doctor_probes import Answer, Probes

LITTLE_SPACE_BYTES = 10_000_000_000
PUBLIC_HOST = "s3.amazonaws.com"
SKEW_S = 300.0  # S3 refuses signed requests at 15 minutes; a third of that is worth a word
FIRST_YEAR = 2025
NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "afs",
    "9p",
    "fuse.sshfs",
    "fuse.s3",
    "wekafs",
    "panfs",
)
IN_MEMORY = ("tmpfs", "ramfs")


def data_root(request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the folder of the data."""
    return [_folder("data root", request.data_root, "--data-root", probes)]


def runs_root(request: DoctorRequest, probes: Probes) -> list[Check]:
    """Look at the folder of the runs, where jobs hold locks."""
    check = _folder("runs root", request.runs_root, "--runs-root", probes)
    if check.status == "problem":
        return [check]
    reason = probes.can_lock(_existing(request.runs_root, probes))
    if reason:
        value = f"{check.value}; no locks here: {reason}"
        return [
            problem("runs root", value, "a dead job could not be told from a live one: choose another --runs-root")
        ]
    return [check]


def _folder(name: str, path: Path, flag: str, probes: Probes) -> Check:
    folder = _existing(path, probes)
    if not folder.is_dir():
        return problem(name, f"{path}: {folder} is a file", f"choose a folder with {flag} or in the settings")
    reason = probes.can_write(folder)
    if reason:
        return problem(
            name, f"{folder} cannot be written: {reason}", f"change its permissions, or choose another {flag}"
        )
    free, kind = probes.free_bytes(folder), probes.file_system(folder)
    value = f"{path}, {size(free)} free" + ("" if folder == path else ", made on first use")
    if free < LITTLE_SPACE_BYTES:
        return note(name, value, f"free some space, or choose another disk with {flag}")
    if kind.startswith(IN_MEMORY):
        return note(
            name, f"{value}, in memory ({kind})", f"lost when the machine restarts: choose a disk with {flag}"
        )
    if kind.startswith(NETWORK):
        return ok(name, f"{value}, on a network ({kind}): runs of other hosts may look up to a minute old")
    return ok(name, value)


def _existing(path: Path, probes: Probes) -> Path:
    while not probes.exists(str(path)) and path != path.parent:
        path = path.parent
    return path


def bucket(request: DoctorRequest, probes: Probes) -> list[Check]:
    """Ask the bucket for one name, and compare clocks."""
    from http.client import HTTPException

    host = without_secrets(request.endpoint_url) or PUBLIC_HOST
    named = f"{request.bucket} at {host}"
    try:
        answer = probes.ask(_url(request), request.bucket_timeout_s)
    except (OSError, ValueError, HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        return [_unreachable(request, probes, f"{named} does not answer: {reason}"), _clock(probes, None)]
    return [_answered(answer, named), _clock(probes, answer)]


def _url(request: DoctorRequest) -> str:
    query = "?list-type=2&max-keys=1"
    if request.endpoint_url:
        return f"{without_secrets(request.endpoint_url).rstrip('/')}/{quote(request.bucket)}{query}"
    return f"https://{quote(request.bucket)}.{PUBLIC_HOST}/{query}"


def _answered(answer: Answer, named: str) -> Check:
    if answer.status == 200:
        return ok("bucket", f"{named} answers in {answer.elapsed_s * 1000:.0f} ms")
    if answer.status == 404:
        return problem("bucket", f"{named}: there is no such bucket", "check --bucket and --endpoint-url")
    if answer.status == 403:
        return problem(
            "bucket", f"{named} may not be listed without a name and password", "check --bucket and the endpoint"
        )
    return problem("bucket", f"{named} answers with HTTP {answer.status}", "try again later, or check --endpoint-url")


def _unreachable(request: DoctorRequest, probes: Probes, value: str) -> Check:
    """Offline is a fact of many compute nodes; an endpoint that the user chose should be there."""
    proxy = probes.environ.get("HTTPS_PROXY") or probes.environ.get("https_proxy")
    through = f" (through the proxy {without_secrets(proxy)})" if proxy else ""
    if request.endpoint_url:
        return problem("bucket", value + through, "start that server, or correct --endpoint-url")
    return note("bucket", value + through, "offline everything but fetching works; behind a proxy, set HTTPS_PROXY")


def _clock(probes: Probes, answer: Answer | None) -> Check:
    now = datetime.datetime.fromtimestamp(probes.now_s(), datetime.UTC)
    value = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "set the clock, for example with timedatectl set-ntp true"
    if now.year < FIRST_YEAR:
        return problem("clock", f"{value} cannot be right", remedy)
    server = _parsed_date(answer.date) if answer else None
    if server is None:
        return ok("clock", value)
    off = (now - server).total_seconds()
    if abs(off) > SKEW_S:
        return note(
            "clock", f"{value}, {duration(abs(off))} {'ahead of' if off > 0 else 'behind'} the server", remedy
        )
    return ok("clock", f"{value}, as the server has it")


def _parsed_date(text: str) -> datetime.datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else None
