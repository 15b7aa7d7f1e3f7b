"""Predict and process that are killed at random moments and continued: the same bytes as undisturbed ones.

    python bench/killed.py RUN [RUN …] --data-root DIR [--crops "9001,test"] [--kills 6]

For each run (2D and 3D ones, say) crops are predicted and processed by the commands that users give, once in peace
and once with SIGKILL at moments that a seed draws, then continued by the same command or by `runs resume`, in turn.
Where the work ends before it was killed often enough, it begins anew in another place. Then all files are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

CELLMAP = (sys.executable, "-m", "cellmap_tui", "--batch")
POLL_S = 0.01


@dataclass
class Work:
    """One command, killed and continued."""

    words: list[str]
    """The command without its output."""
    option: str
    """The option of its output."""
    folder: Path
    """Outputs, run directories and logs go here."""
    environment: dict[str, str]
    """Of the processes."""
    kills: int = 0
    """How often it was killed."""
    at: list[str] = field(default_factory=list)
    """How far into each attempt, and how it was continued before."""

    def command(self, output: Path) -> list[str]:
        """Return the command with its output."""
        return [*CELLMAP, *self.words, self.option, str(output), *self.roots]

    @property
    def roots(self) -> list[str]:
        """Options of the run directories."""
        return ["--runs-root", str(self.folder / "runs")]

    def in_peace(self) -> float:
        """Carry it out undisturbed; return the seconds from its first file to its end."""
        child = self.start(self.command(self.folder / "whole"))
        began_s = self.wait_for_files(child, self.folder / "whole")
        if child.wait():
            sys.exit(f"failed in peace:\n{(self.folder / 'log').read_text()[-2000:]}")
        return time.monotonic() - began_s

    def disturbed(self, output: Path, seconds: float, wanted: int, rng: random.Random) -> None:
        """Carry it out with kills at random moments until it ends, in peace once there were enough."""
        command, how = self.command(output), "new"
        for _ in range(100):
            child = self.start(command)
            began_s = self.wait_for_files(child, output)
            wait_s = rng.uniform(0, seconds * 0.7)
            while child.poll() is None and (self.kills >= wanted or time.monotonic() < began_s + wait_s):
                time.sleep(POLL_S)
            if child.poll() == 0:
                return
            if how == "runs resume" and "is done" in (self.folder / "log").read_text():
                return  # it was killed between its end and the end of its process
            if child.poll() is not None:
                sys.exit(f"failed ({how}):\n{(self.folder / 'log').read_text()[-2000:]}")
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            self.kills += 1
            self.at.append(f"{how} {wait_s:.1f} s")
            how = ("same command", "runs resume")[self.kills % 2]
            resume = [*CELLMAP, "runs", "resume", "latest", *self.roots]
            command = self.command(output) if how == "same command" else resume
        sys.exit("never ended")

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process."""
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def wait_for_files(self, child: subprocess.Popen[bytes], output: Path) -> float:
        """Return when the work has begun: until then the libraries are loaded."""
        before = newest(output)
        while child.poll() is None and newest(output) == before:
            time.sleep(POLL_S)
        return time.monotonic()


def newest(folder: Path) -> tuple[int, int]:
    """Return how many files there are and when the newest was written."""
    found = []
    for path in folder.rglob("*"):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            continue
    return len(found), max(found, default=0)


def hashes(folder: Path) -> dict[str, str]:
    """Return what every file holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def checked(name: str, work: Work, kills: int, rng: random.Random) -> bool:
    """Compare outputs, and say what came out."""
    work.folder.mkdir(parents=True)
    seconds = work.in_peace()
    whole, places = hashes(work.folder / "whole"), []
    while work.kills < kills:
        places.append(work.folder / f"killed-{len(places)}")
        work.disturbed(places[-1], seconds, kills, rng)
    wrong = [name for place in places for name in differing(whole, hashes(place))]
    print(
        f"{name}: {len(whole)} files, {seconds:.1f} s in peace; {work.kills} kills ({'; '.join(work.at)}), ended "
        f"{len(places)} times: {'the same bytes' if not wrong else f'{len(wrong)} files DIFFER: {wrong[:5]}'}",
        flush=True,
    )
    return not wrong


def differing(whole: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return files that only one has, or that hold something else."""
    return sorted(name for name in whole.keys() | other.keys() if whole.get(name) != other.get(name))


def main() -> int:
    """Predict and process with each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--crops", default="9001,9101")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, good = random.Random(options.seed), True
    with tempfile.TemporaryDirectory(prefix="killed-bench-") as name:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_STATE_HOME": f"{name}/state"}
        for number, run in enumerate(options.runs):
            where = ["--data-root", str(options.data_root.absolute()), "--crops", options.crops]
            words = ["predict", str(run.absolute()), "--device", "cpu", "--memory", "60M", *where]
            work = Work(words, "-o", Path(name, f"predict-{number}"), environment)
            good &= checked(f"predict {run.name}", work, options.kills, rng)
            source = work.folder / "whole"
            words = ["process", "-i", str(source), "--workers", "1", "--memory", "200M", *where]
            work = Work(words, "-o", Path(name, f"process-{number}"), environment)
            good &= checked(f"process {run.name}", work, options.kills, rng)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
