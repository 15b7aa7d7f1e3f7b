"""A real S3 server over a folder of buckets, for every test that needs one."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class S3Server:
    """A running `rclone serve s3`."""

    url: str
    """Its endpoint."""
    root: Path
    """The folder of buckets."""
    process: subprocess.Popen

    def make_bucket(self, name, objects=None):
        """Make a bucket, with objects if given; return its folder."""
        folder = self.root / name
        folder.mkdir()
        fill(folder, objects or {})
        return folder


@contextlib.contextmanager
def serve_s3(root, *options):
    """Serve a folder of buckets to anybody on loopback; `options` are rclone's."""
    for _ in range(3):
        server = _start(root, options)
        if server is not None:
            break
    else:
        raise RuntimeError("rclone serve s3 did not start")
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(300)


def fill(folder, objects):
    """Write objects, given as bytes by key."""
    for key, body in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def tree_hash(folder):
    """Return one hash over the paths and bytes of all data files of a folder, the tool's own left out."""
    digest = hashlib.sha256()
    for path in data_files(folder):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def data_files(folder):
    """Return the data files of a folder, the tool's own left out."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if ".cellmap-tui" not in path.relative_to(folder).parts)


def free_port():
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def silent_address():
    """Hold a loopback port at which nobody answers, so that nobody else takes it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _start(root, options):
    port = free_port()
    beside = Path(sys.executable).with_name("rclone")
    binary = str(beside) if beside.exists() else shutil.which("rclone")
    command = [binary, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}", "--read-only"]
    process = subprocess.Popen(
        [*command, "--dir-cache-time", "0", *options, str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    scheme = "https" if "--cert" in options else "http"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if _listens(port):
            return S3Server(f"{scheme}://127.0.0.1:{port}", Path(root), process)
        time.sleep(0.02)
    process.kill()
    process.wait()
    return None


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
