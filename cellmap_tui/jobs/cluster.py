"""Job scripts for a cluster's queue: the same run goes on after a requeue, with a checkpoint before the time is up.

The queue sends SIGUSR1 some minutes before the end; the script passes it on, the job finishes its step,
writes a checkpoint and ends with 130, and the script puts itself back into the queue. A run that a
user stopped ends with 130 as well, without that signal, and stays stopped. Owns the scripts; submitting
them is the user's.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.jobs.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["slurm", "lsf"]
WARNING_MINUTES = 5
"""Before the time is up: a step, a checkpoint and a slow disk fit in."""
REQUEUE_CODE = 99
"""Exit code on which LSF requeues."""
_NAME = re.compile(r"[\w.@:+-]*")

_BODY = """
# Paths and the run stay the same through every requeue; what was started is in the run's directory.
cd {cwd} || exit 1
{environment}
signals=0
on_signal() {{
    signals=$((signals + 1))
    kill -USR1 "$job" 2>/dev/null
}}
trap on_signal USR1 TERM

{command} &
job=$!
while :; do
    before=$signals
    wait "$job"
    code=$?
    [ "$signals" = "$before" ] && break
done
# 130: stopped with a checkpoint. Only what the queue's signal stopped goes back into the queue.
if [ "$code" = 130 ] && [ "$signals" -gt 0 ]; then
    {requeue}
fi
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """What a job asks of a cluster.

    Raises
    ------
    RequestError
        If a number is out of range or a name cannot stand in a script.
    """

    kind: Kind
    """Which queue."""
    run: Path
    """The run directory."""
    name: str
    """Name of the job in the queue's lists."""
    gpus: int
    """GPUs on one node; 0: none."""
    processors: int
    """Processors."""
    memory_bytes: int
    """Host memory."""
    hours: float
    """Longest time; then it is requeued."""
    queue: str = ""
    """Partition or queue; empty: the cluster's own choice."""
    account: str = ""
    """Account or project; empty: the user's own."""

    def __post_init__(self) -> None:
        if not 0.2 <= self.hours <= 24 * 365:
            raise RequestError(f"--time {self.hours:g} is out of range", "hours, 0.2 or more")
        if not (0 <= self.gpus <= 64 and 1 <= self.processors <= 4096 and self.memory_bytes >= 10**8):
            raise RequestError("a cluster job needs processors and at least 100 MB", "give --cpus and --memory")
        for flag, name in (("--queue", self.queue), ("--account", self.account)):
            if not _NAME.fullmatch(name):
                raise RequestError(f"{flag} {name!r} cannot stand in a script", "letters, digits and . _ - : @ +")


def render_job(job: ClusterJob, command: Sequence[str] | None = None, cwd: Path | None = None) -> str:
    """Return the script of a job.

    Parameters
    ----------
    command
        What to run; by default this installation, going on with the run.
    cwd
        Directory to run in; the current one by default.
    """
    words = command or _resume_command(job)
    requeue = 'scontrol requeue "$SLURM_JOB_ID" && exit 0' if job.kind == "slurm" else f"exit {REQUEUE_CODE}"
    body = _BODY.format(
        cwd=shlex.quote(str(cwd or Path.cwd())),
        environment="export PYTHONUNBUFFERED=1",
        command=" ".join(shlex.quote(word) for word in words),
        requeue=requeue,
    )
    head = _slurm_head(job) if job.kind == "slurm" else _lsf_head(job)
    return "\n".join(["#!/bin/bash", *head]) + "\n" + body


def write_job(job: ClusterJob, script: str, output: Path | None = None) -> Path:
    """Write a script, into the run directory where no file is named, and note there that its job comes by a queue.

    Raises
    ------
    RefusedError
        If it cannot be written.
    """
    path = output or job.run / f"job.{job.kind}.sh"
    try:
        replace_file(path, script.encode())
        path.chmod(0o755)
        told = {"v": 1, "kind": job.kind, "script": str(path), "hours": job.hours, "gpus": job.gpus}
        replace_file(job.run / "cluster.json", json.dumps(told).encode() + b"\n")
    except OSError as error:
        raise RefusedError(f"cannot write {path}: {error.strerror}", "choose another place with -o") from None
    return path


def _resume_command(job: ClusterJob) -> list[str]:
    root, run = str(job.run.parent), str(job.run)
    return [sys.executable, "-m", "cellmap_tui", "--batch", "--runs-root", root, "train", "--resume", run]


def _slurm_head(job: ClusterJob) -> list[str]:
    minutes = math.ceil(job.hours * 60)
    lines = [
        f"job-name={_job_name(job)}",
        "nodes=1",
        "ntasks=1",
        f"cpus-per-task={job.processors}",
        f"mem={_megabytes(job)}M",
        f"time={minutes // 60:02d}:{minutes % 60:02d}:00",
        # To the script alone (B:), which passes it on.
        f"signal=B:USR1@{WARNING_MINUTES * 60}",
        "requeue",
        "open-mode=append",
        f"output={_out(job)}/cluster-%j.txt",
    ]
    lines += [f"gpus-per-node={job.gpus}"] if job.gpus else []
    lines += [f"partition={job.queue}"] if job.queue else []
    lines += [f"account={job.account}"] if job.account else []
    return [f"#SBATCH --{line}" for line in lines]


def _lsf_head(job: ClusterJob) -> list[str]:
    minutes = math.ceil(job.hours * 60)
    lines = [
        f"-J {_job_name(job)}",
        f"-n {job.processors}",
        f'-R "span[hosts=1] rusage[mem={_megabytes(job)}]"',
        f"-W {minutes // 60}:{minutes % 60:02d}",
        f"-wa USR1 -wt {WARNING_MINUTES}",
        f'-r -Q "{REQUEUE_CODE}"',
        f"-o {_out(job)}/cluster-%J.txt",
    ]
    lines += [f'-gpu "num={job.gpus}:mode=exclusive_process"'] if job.gpus else []
    lines += [f"-q {job.queue}"] if job.queue else []
    lines += [f"-P {job.account}"] if job.account else []
    return [f"#BSUB {line}" for line in lines]


def _job_name(job: ClusterJob) -> str:
    return re.sub(r"[^\w.-]+", "-", f"cellmap-{job.name}")[:60]


def _out(job: ClusterJob) -> str:
    """Return the run directory as it may stand in a directive: these are read by the queue, not by a shell."""
    text = str(job.run)
    if re.search(r"[\s%\"'\\]", text):
        raise RequestError(
            f"run directory {text!r} holds a space, a quote or a percent sign, which a job's directives cannot",
            "choose another root with --runs-root",
        )
    return text


def _megabytes(job: ClusterJob) -> int:
    return max(1, round(job.memory_bytes / 2**20))
