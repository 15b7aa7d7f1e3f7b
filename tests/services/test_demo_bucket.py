"""The demo's bucket behind a real S3 server."""

from __future__ import annotations

import csv
import re
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from cellmap_tui.services.demo import DemoRequest, demo
from cellmap_tui.services.report import SilentReporter


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start rclone on a free port; return the process and its address."""
    rclone = Path(sysconfig.get_path("scripts")) / "rclone"
    command = [rclone, "serve", "s3", "--config", "", "--addr", "127.0.0.1:0", "--read-only", folder]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"server on \[(http://[^/\]]+)", line)
        if found:
            return process, found[1]
    raise AssertionError("rclone did not start")


def test_every_annotation_of_the_manifest_is_served(tmp_path: Path) -> None:
    made = demo(
        DemoRequest(tmp_path / "demo", size="tiny", make_only=True, user_data_root=tmp_path / "mine"),
        SilentReporter(),
    )
    with made.manifest.open() as file:
        places = {row["crop_number"]: row["crop_url"].removeprefix("s3://") for row in csv.DictReader(file)}
    process, address = serve(made.bucket_root)
    with process:
        try:
            with made.train_manifest.open() as file:
                for row in list(csv.DictReader(file))[::12]:
                    key = f"{places[row['crop_name']]}/{row['class_label']}/s0/.zarray"
                    with urlopen(f"{address}/{quote(key)}") as answer:
                        assert answer.read() == (made.bucket_root / key).read_bytes()
        finally:
            process.terminate()
