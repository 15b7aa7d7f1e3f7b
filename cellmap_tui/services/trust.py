"""Which Python configurations the user has allowed to run: once per content, remembered by its hash."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cellmap_tui.learning.config_python import PythonConfig, PythonFacts

FILE_NAME = "trusted_configs.json"
MAX_ENTRIES = 1000
"""The oldest are forgotten beyond this."""
SAFE_VARIABLE = "FORCE_SAFE_CONFIG"
"""The official toolbox's switch that refuses configurations which reach beyond themselves."""
_OFF = ("", "0", "false", "no", "off")


def is_trusted(state_dir: Path, sha256: str) -> bool:
    """Return whether the user has allowed this content before."""
    return sha256 in _read(state_dir)


def remember_trust(state_dir: Path, facts: PythonFacts) -> None:
    """Remember that the user allowed this content; a folder that cannot be written forgets it."""
    entries = {**_read(state_dir), facts.sha256: {"path": str(facts.path.absolute()), "time": round(time.time(), 3)}}
    newest = sorted(entries.items(), key=_time_of)[-MAX_ENTRIES:]
    path = state_dir / FILE_NAME
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"v": 1, "trusted": dict(newest)}, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        # Being asked once more is no harm; the configuration was allowed for this call.
        with contextlib.suppress(OSError):
            temporary.unlink()


def trusted_runner(
    state_dir: Path,
    *,
    trust: bool,
    timeout_s: float,
    ask: Callable[[PythonFacts], bool] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Callable[[Path], PythonConfig]:
    """Return what runs a Python configuration after making sure that the user wants that.

    Parameters
    ----------
    state_dir
        Where allowed content is remembered.
    trust
        Whether ``--trust-config`` was given.
    timeout_s
        How long the file may take.
    ask
        Asks the user; None where nobody can be asked.
    environ
        In place of `os.environ`.

    Returns
    -------
    Callable
        Raises RefusedError where the content was not allowed.
    """
    from cellmap_tui.learning.config_python import python_facts, run_python_config

    def run(path: Path) -> PythonConfig:
        facts = python_facts(path)
        _check_safe(facts, os.environ if environ is None else environ)
        if not is_trusted(state_dir, facts.sha256):
            if not trust and not (ask is not None and ask(facts)):
                raise RefusedError(
                    f"{path} is Python code, and this content has not been allowed to run",
                    f"look at it ({facts_in_words(facts)}), then add --trust-config",
                )
            remember_trust(state_dir, facts)
        return run_python_config(path, timeout_s=timeout_s, expected_sha256=facts.sha256)

    return run


def facts_in_words(facts: PythonFacts) -> str:
    """Return what running the file would load, for the question whether it may."""
    words = f"imports {', '.join(facts.imports)}" if facts.imports else "imports nothing"
    if facts.siblings:
        words += f"; runs {', '.join(path.name for path in facts.siblings[:5])} beside it"
    if facts.reaches_out:
        words += f"; uses {', '.join(facts.reaches_out)}"
    return printable(words)


def _check_safe(facts: PythonFacts, environ: Mapping[str, str]) -> None:
    if environ.get(SAFE_VARIABLE, "").strip().lower() not in _OFF and facts.reaches_out:
        raise RefusedError(
            f"{facts.path} uses {', '.join(facts.reaches_out)}, which {SAFE_VARIABLE} does not allow",
            f"convert it to TOML where it is trusted, or unset {SAFE_VARIABLE}",
        )


def _read(state_dir: Path) -> dict[str, Any]:
    try:
        content = json.loads((state_dir / FILE_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        # Nothing is allowed that cannot be read back.
        return {}
    trusted = content.get("trusted") if isinstance(content, dict) else None
    return trusted if isinstance(trusted, dict) else {}


def _time_of(entry: tuple[str, Any]) -> float:
    told = entry[1].get("time") if isinstance(entry[1], dict) else None
    return float(told) if isinstance(told, int | float) else 0.0
