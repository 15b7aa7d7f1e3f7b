"""The sides that are compared: each fetches the objects of a listing into a folder."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from fetching.processes import Ran, run
from fetching.servers import BUCKET, HERE, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fetching.objects import Objects

    Side = Callable[[str, Objects, Path], Ran]

OFFICIAL_PACKAGES = ("zarr<3", "numcodecs<0.16", "s3fs")
OURS, S5CMD, BOTO3, OFFICIAL = "ours", "s5cmd", "boto3, 64 threads", "the official way"


def ours(url: str, objects: Objects, dest: Path) -> Ran:
    """`storage.run_transfers`, with its checks of size and MD5."""
    return run([sys.executable, HERE / "side_ours.py", url, BUCKET, objects.listing, dest])


def s5cmd(workers: int) -> Side:
    """`s5cmd run`, a ``cp`` per object."""

    def fetch(url: str, objects: Objects, dest: Path) -> Ran:
        commands = dest.with_suffix(".s5cmd")
        with commands.open("w") as lines:
            for line in objects.listing.read_text().splitlines():
                key = line.split("\t")[0]
                lines.write(f'cp "s3://{BUCKET}/{key}" "{dest}/{key}"\n')
        words = ["--endpoint-url", url, "--no-sign-request", "--log", "error", "--numworkers", str(workers)]
        try:
            return run([SCRIPTS / "s5cmd", *words, "run", commands])
        finally:
            commands.unlink()

    return fetch


def boto3(url: str, objects: Objects, dest: Path) -> Ran:
    """boto3 with 64 threads."""
    return run([sys.executable, HERE / "side_boto3.py", url, BUCKET, objects.listing, dest])


def official(python: Path) -> Side:
    """The official toolbox's way, in an environment of its own."""

    def fetch(url: str, objects: Objects, dest: Path) -> Ran:
        command = [python, HERE / "side_official.py", BUCKET, objects.listing, dest]
        return run(command, **official_environ(url))

    return fetch


def official_environ(url: str) -> dict[str, str]:
    """Return what tells s3fs where the server is."""
    return {"AWS_ENDPOINT_URL_S3": url, "AWS_ENDPOINT_URL": url, "PYTHONWARNINGS": "ignore"}


def official_python(folder: Path) -> Path | None:
    """Make an environment for the official way; None, with a message, when it cannot be made."""
    python = folder / "official" / "bin" / "python"
    made = subprocess.run([sys.executable, "-m", "venv", folder / "official"], capture_output=True, check=False)
    if made.returncode == 0:
        pip = [python, "-m", "pip", "install", "--quiet", *OFFICIAL_PACKAGES]
        made = subprocess.run(pip, capture_output=True, check=False)
    if made.returncode:
        print(f"{OFFICIAL} is left out: its environment cannot be made ({made.stderr.decode()[-300:].strip()})")
        return None
    return python
