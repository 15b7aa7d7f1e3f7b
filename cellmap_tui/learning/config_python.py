"""Python configuration files: what they would do, running them apart, and their objects for training.

Such a file is code and can do anything its user can. Nothing here decides whether it may: that is the
caller's part, who shows the user `python_facts` first. It then runs in a process of its own, which is
ended with everything it started; only plain values and descriptions of objects come back.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.text import printable

TIMEOUT_S = 120.0  # the first import of torch from a network disk takes tens of seconds
MAX_BYTES = 4 * 2**20
MAX_ANSWER_BYTES = 32 * 2**20
KEPT_OUTPUT_BYTES = 16_384
MAX_SIBLINGS = 200
_REACHES_OUT = frozenset({"os", "sys", "subprocess", "shutil", "socket", "urllib", "requests", "pickle", "ctypes"})
_RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__"})


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What can be said about a Python file without running it."""

    path: Path
    """The file."""
    sha256: str
    """Hash of its content, and of the content of the files beside it that it imports."""
    imports: tuple[str, ...]
    """Packages that it imports."""
    siblings: tuple[Path, ...]
    """Files beside it that it imports; they run as well."""
    reaches_out: tuple[str, ...]
    """Imports and calls that reach beyond the file, such as ``subprocess`` or ``exec``; a hint, no proof."""
    lines: dict[str, int]
    """Line on which each top-level name is last assigned."""


@dataclass(frozen=True, slots=True)
class PythonConfig:
    """What running a Python configuration gave."""

    path: Path
    """The file."""
    sha256: str
    """Hash of what was run."""
    values: dict[str, Any]
    """Values of the keys; objects as descriptions (`config_objects`)."""
    other_names: tuple[str, ...]
    """Plain values under names that are no key."""
    lines: dict[str, int]
    """Line on which each name is last assigned."""
    printed: str
    """What it printed, the last part of it."""
    notes: tuple[str, ...] = ()
    """What there is to know about how it ran."""


def python_facts(path: Path) -> PythonFacts:
    """Look at a Python file without running it.

    Raises
    ------
    MissingDataError
        If it cannot be read.
    DataError
        If it is not Python; names the line.
    """
    data = _bytes(path)
    tree = _parsed(path, data)
    imports = _imports(tree)
    siblings = _siblings(path, tree)
    digest = hashlib.sha256(data)
    for sibling in siblings:
        digest.update(b"\0" + sibling.name.encode() + b"\0" + _bytes(sibling))
    calls = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    reaching = sorted((imports & _REACHES_OUT) | (calls & _RUNS_TEXT))
    return PythonFacts(
        path, digest.hexdigest(), tuple(sorted(imports)), tuple(siblings), tuple(reaching), _assigned_lines(tree)
    )


def run_python_config(
    path: Path, *, timeout_s: float = TIMEOUT_S, expected_sha256: str | None = None
) -> PythonConfig:
    """Run a Python configuration in a process of its own and return what it says.

    Parameters
    ----------
    path
        The file; the caller has made sure that the user wants it run.
    timeout_s
        The process, and what it started, are ended after so long.
    expected_sha256
        Hash of what the user allowed; another content is not run.

    Raises
    ------
    DataError
        If it raises, leaves, takes too long or changed meanwhile; names the line where it can.
    MissingDataError
        If it cannot be read.
    """
    facts = python_facts(path)
    if expected_sha256 is not None and facts.sha256 != expected_sha256:
        raise DataError(f"{path} changed after it was looked at", "look at it again")
    with tempfile.TemporaryDirectory(prefix="cellmap-tui-") as folder:
        answer_path = Path(folder) / "answer.json"
        code, printed = _run(path, answer_path, timeout_s)
        answer = _answer(path, answer_path, code, printed)
    if "error" in answer:
        raise _told_error(path, answer["error"])
    names = tuple(str(name) for name in answer.get("other_names", ()))
    notes = tuple(printable(str(note)) for note in answer.get("notes", ()))
    return PythonConfig(path, facts.sha256, dict(answer["values"]), names, facts.lines, printed, notes)


def load_python_namespace(path: Path, *, expected_sha256: str) -> dict[str, Any]:
    """Run a Python configuration in this process and return its names with the objects themselves.

    For training, which needs the network and the losses of the file. Packages that are not installed are
    stood in for, as `stand_ins` says.

    Raises
    ------
    DataError
        If the file is not the one that was allowed, or it raises.
    """
    from cellmap_tui.learning.config_runner import ConfigFailure, execute

    facts = python_facts(path)
    if facts.sha256 != expected_sha256:
        raise DataError(
            f"{path} is not what was allowed to run", "look at it again with: config check --trust-config"
        )
    try:
        return execute(str(path.absolute()))[0]
    except ConfigFailure as failure:
        raise _told_error(path, failure.told) from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MissingDataError(f"configuration {path} cannot be read: {error.strerror}", "check the path") from None
    if len(data) > MAX_BYTES:
        raise DataError(f"{path} is too large to be a configuration")
    return data


def _parsed(path: Path, data: bytes) -> ast.Module:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(data, filename=str(path))
    except SyntaxError as error:
        place = f", line {error.lineno}" if error.lineno else ""
        raise DataError(f"{path.name}{place}: not Python: {error.msg}", "correct the file") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{path.name} is not Python: {error}", "correct the file") from None


def _imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _siblings(path: Path, tree: ast.Module) -> list[Path]:
    """Return the files beside the configuration that it imports, and those that these import."""
    folder = path.absolute().parent
    found: dict[Path, None] = {}
    waiting = [tree]
    while waiting and len(found) < MAX_SIBLINGS:
        for name in sorted(_imports(waiting.pop())):
            package = folder / name
            files = sorted(package.rglob("*.py")) if (package / "__init__.py").is_file() else [folder / f"{name}.py"]
            for file in files:
                if file.is_file() and file not in found and file != path.absolute():
                    found[file] = None
                    waiting.append(_parsed(file, _bytes(file)))
    return sorted(found)


def _assigned_lines(tree: ast.Module) -> dict[str, int]:
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            lines[node.id] = max(node.lineno, lines.get(node.id, 0))
    return lines


def _run(path: Path, answer_path: Path, timeout_s: float) -> tuple[int | None, str]:
    """Return the exit code, None where the time was up, and the last part of what was printed."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "cellmap_tui.learning.config_runner",
        str(path.absolute()),
        str(answer_path),
    ]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        start_new_session=True,
    )
    kept = bytearray()
    reader = threading.Thread(target=_keep_tail, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        code: int | None = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # A process that left the group may hold the pipe open; what it prints is nobody's concern.
        reader.join(1.0)
    if not reader.is_alive() and process.stdout is not None:
        process.stdout.close()
    return code, bytes(kept).decode("utf-8", errors="replace")


def _keep_tail(pipe: IO[bytes] | None, kept: bytearray) -> None:
    while pipe is not None and (block := pipe.read1(65536)):  # type: ignore[attr-defined]
        kept += block
        del kept[:-KEPT_OUTPUT_BYTES]


def _answer(path: Path, answer_path: Path, code: int | None, printed: str) -> dict[str, Any]:
    if code is None:
        raise DataError(
            f"{path.name} did not come to an end and was ended", "does it loop or wait? --timeout gives it more time"
        )
    try:
        with answer_path.open("rb") as file:
            data = file.read(MAX_ANSWER_BYTES + 1)
        answer: dict[str, Any] = json.loads(data)
    except (OSError, ValueError):
        last = printable(next(iter(reversed(printed.strip().splitlines())), ""))[:200]
        killed = f"killed by signal {-code}" if code < 0 else f"it ended its process with code {code}"
        raise DataError(
            f"{path.name} gave no answer: {killed}", f"it last printed: {last}" if last else "run it by itself"
        ) from None
    return answer


def _told_error(path: Path, told: dict[str, Any]) -> DataError:
    line = told.get("line")
    place = f"{path.name}, line {line}" if line else path.name
    what = printable(f"{told.get('type', 'error')}: {told.get('message', '')}".strip(": "))[:300]
    return DataError(f"{place}: {what}", str(told.get("remedy", "")) or "the file itself raises this")
