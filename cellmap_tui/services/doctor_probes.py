"""What the doctor asks the machine: every look at the outside world goes through here.

Tests hand in other answers. A probe returns None where the machine cannot say, and raises only what
its name promises; it never waits without a limit of its own, except for the file system, where the
doctor's own limit holds.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_READ_LIMIT = 200_000


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    code: int | None
    """Exit code; None when it was ended because it took too long."""
    out: str
    """What it wrote to its standard output."""
    error: str
    """What it wrote to its standard error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    """HTTP status."""
    date: str
    """Its clock, as the Date header gives it; empty without one."""
    elapsed_s: float
    """Time from asking to the answer."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the machine, in bytes."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int


class Probes:
    """The real machine."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables."""
        return os.environ

    @property
    def python(self) -> tuple[int, int, int]:
        """Version of the interpreter."""
        return sys.version_info[:3]

    @property
    def python_path(self) -> str:
        """The interpreter."""
        return sys.executable

    @property
    def system(self) -> str:
        """Name of the operating system, such as ``Linux``."""
        return platform.system()

    @property
    def machine(self) -> str:
        """Kind of processor, such as ``x86_64``."""
        return platform.machine()

    @property
    def user(self) -> str:
        """Name of the user, or the number where there is no name."""
        import getpass

        try:
            return getpass.getuser()
        except (OSError, KeyError):
            return str(os.getuid())

    def now_s(self) -> float:
        """Return the time of this machine's clock, Unix seconds."""
        return time.time()

    def read(self, path: str) -> str | None:
        """Return the beginning of a text file, or None when it cannot be read."""
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                return file.read(_READ_LIMIT)
        except OSError:
            return None

    def names_in(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; empty when it cannot be listed."""
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - names are what is wanted
        except OSError:
            return []

    def exists(self, path: str) -> bool:
        """Return whether something has this path."""
        return Path(path).exists()

    def run(self, words: Sequence[str], timeout_s: float) -> Ran | None:
        """Run a program without input; None when there is no such program."""
        import subprocess

        try:
            done = subprocess.run(
                list(words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(None, "", "")
        except OSError:
            return None
        return Ran(done.returncode, done.stdout, done.stderr)

    def version(self, distribution: str) -> str | None:
        """Return the version of an installed package, without importing it."""
        from importlib import metadata

        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return None

    def package_file(self, distribution: str, file: str) -> str | None:
        """Return the text of a file of an installed package, without importing it."""
        from importlib import metadata

        try:
            return self.read(str(metadata.distribution(distribution).locate_file(file)))
        except metadata.PackageNotFoundError:
            return None

    def memory(self) -> Memory:
        """Return the memory of the machine."""
        import psutil

        memory = psutil.virtual_memory()
        return Memory(memory.total, memory.available, psutil.swap_memory().total)

    def address_space_bytes(self) -> int | None:
        """Return the limit of this process's address space, None when there is none."""
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft

    def open_files(self) -> tuple[int | None, int | None]:
        """Return how many files may be open: now, and at most; None for no limit."""
        import resource

        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = (None if limit == resource.RLIM_INFINITY else limit for limit in limits)
        return soft, hard

    def cpus(self) -> tuple[int, int]:
        """Return the number of processors, and of those that this process may use."""
        count = os.cpu_count() or 1
        return count, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count

    def free_bytes(self, folder: Path) -> int:
        """Return the free space of the disk that holds a folder; raises OSError."""
        import shutil

        return shutil.disk_usage(folder).free

    def file_system(self, folder: Path) -> str:
        """Return the type of the file system that holds a folder, such as ``ext4``; empty if not known."""
        import psutil

        real = os.path.realpath(folder)
        holding = [p for p in psutil.disk_partitions(all=True) if _holds(p.mountpoint, real)]
        return max(holding, key=lambda p: len(p.mountpoint)).fstype if holding else ""

    def can_write(self, folder: Path) -> str:
        """Return why no file can be made in a folder, or an empty string when one can."""
        import tempfile

        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def can_lock(self, folder: Path) -> str:
        """Return why no POSIX lock can be held in a folder, or an empty string when one can."""
        import fcntl
        import tempfile

        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def ask(self, url: str, timeout_s: float) -> Answer:
        """Ask a web server, through the proxies of the environment; raises OSError when it does not answer."""
        import ssl
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        authorities = self.environ.get("AWS_CA_BUNDLE") or self.environ.get("REQUESTS_CA_BUNDLE")
        context = ssl.create_default_context(cafile=authorities or None)
        begun = time.monotonic()
        try:
            with urlopen(Request(url), timeout=timeout_s, context=context) as reply:  # noqa: S310 - checked to be http
                reply.read(4096)
                return Answer(reply.status, reply.headers.get("Date", ""), time.monotonic() - begun)
        except HTTPError as error:
            return Answer(error.code, error.headers.get("Date", ""), time.monotonic() - begun)

    def terminal_size(self) -> tuple[int, int] | None:
        """Return columns and rows of the terminal, None when there is none."""
        for number in (0, 1, 2):
            try:
                if os.isatty(number):
                    size = os.get_terminal_size(number)
                    return size.columns, size.lines
            except OSError:
                continue
        return None

    def encoding(self) -> str:
        """Return the encoding that the locale chooses, such as ``UTF-8``."""
        import locale

        return locale.getencoding()


def _holds(mountpoint: str, path: str) -> bool:
    return path == mountpoint or path.startswith(mountpoint.rstrip("/") + "/")
