"""Who runs a job: host, process and user, told so that another process can be told apart from it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def host_name() -> str:
    """Return the name of this host as run directories record it."""
    return platform.node() or "unknown"


def user_name() -> str:
    """Return ``user@host``, by which events name who asked."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run under a uid without a name
        user = f"uid{os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{host_name()}"


def process_token(pid: int) -> str | None:
    """Return a text that differs between a process and any later one under the same id; None when it is gone.

    On Linux the boot's id and the start in clock ticks since then; elsewhere what ``ps`` says.
    """
    return _proc_token(pid) if Path("/proc/self/stat").exists() else _ps_token(pid)


def _proc_token(pid: int) -> str | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The program's name stands in parentheses and may hold spaces; the start is field 22 of the line.
    fields = status.rpartition(")")[2].split()
    return f"{boot}:{fields[19]}"


def _ps_token(pid: int) -> str | None:
    import subprocess

    environment = {**os.environ, "LC_ALL": "C"}
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
