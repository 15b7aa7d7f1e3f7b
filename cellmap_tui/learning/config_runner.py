"""The process in which a Python configuration runs: executes it, writes what it says as JSON.

Called as ``python -m cellmap_tui.learning.config_runner FILE ANSWER``. What the file prints goes where
this process prints; the answer has a file of its own, so printing cannot disturb it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

MODULE = "cellmap_config"
"""Name under which the file runs; not ``__main__``, so a file that starts training under it does not."""
MAX_TEXT = 200
MAX_DEPTH = 8
MAX_ITEMS = 10_000
WATCH_S = 0.5


class ConfigFailure(Exception):  # noqa: N818 - it carries what is told, and is never shown itself
    """A configuration that did not run to its end."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told.get("message", ""))
        self.told = told


def main(argv: list[str]) -> int:
    """Run the file and write the answer."""
    path, answer_path = argv
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        namespace, notes = execute(path)
        answer = {**_answer(namespace), "notes": notes}
    except ConfigFailure as failure:
        answer = {"error": failure.told}
    except (ValueError, TypeError, RecursionError) as error:
        answer = {"error": {"type": type(error).__name__, "message": str(error)}}
    temporary = f"{answer_path}.part"
    Path(temporary).write_text(json.dumps(answer), encoding="utf-8")
    Path(temporary).replace(answer_path)
    sys.stdout.flush()
    return 0


def _end_with(parent: int) -> None:
    """End this process and all it started once nobody waits for its answer, however the parent was ended."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.killpg(0, signal.SIGKILL)


def execute(path: str) -> tuple[dict[str, Any], list[str]]:
    """Run a configuration file and return its names, and what there is to know about it.

    Modules beside the file can be imported, as when it is run by itself.

    Raises
    ------
    ConfigFailure
        If it raises or calls ``sys.exit``.
    """
    from cellmap_tui.learning.stand_ins import broken_package

    broken: list[str] = []
    notes: list[str] = []
    while True:
        try:
            return _executed(path, broken), notes
        except SystemExit as left:
            told = {"type": "sys.exit", "message": f"the file leaves with {left.code!r}", "line": _line(left, path)}
            raise ConfigFailure({**told, "remedy": "take the call out; a configuration only sets names"}) from None
        except ModuleNotFoundError as error:
            told = {"type": "ModuleNotFoundError", "message": str(error), "line": _line(error, path)}
            raise ConfigFailure({**told, "remedy": f"install {error.name}, or take the import out"}) from None
        except BaseException as error:  # noqa: BLE001 - foreign code; the user is shown what it raised
            package = broken_package(error)
            if package is None or package in broken:
                told = {"type": type(error).__name__, "message": str(error)[:1000], "line": _line(error, path)}
                raise ConfigFailure(told) from None
            broken.append(package)
            notes.append(f"{package} is installed and cannot be imported ({str(error)[:200]}); it is stood in for")


def _executed(path: str, broken: list[str]) -> dict[str, Any]:
    from cellmap_tui.learning.stand_ins import standing_in

    module = types.ModuleType(MODULE)
    module.__file__ = path
    sys.modules[MODULE] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(Path(path).parent))
    try:
        with standing_in(broken):
            code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - a configuration of this form is code; the user was asked
    finally:
        with contextlib.suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(str(Path(path).parent))
    return dict(module.__dict__)


def _line(error: BaseException, path: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == path:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _answer(namespace: dict[str, Any]) -> dict[str, Any]:
    from cellmap_tui.learning.config_model import keys

    known = keys()
    values = {name: describe(value) for name, value in namespace.items() if name in known}
    others = [name for name, value in namespace.items() if name not in known and _is_plain(name, value)]
    return {"values": values, "other_names": others}


def _is_plain(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(value, str | int | float | list | tuple | dict | type(None))


def describe(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it; what is no plain value as the description of an object."""
    if value is None or isinstance(value, bool | int | float | str):
        return _exact(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if depth >= MAX_DEPTH:
        return {"$object": {"kind": "instance", "type": _full_name(type(value)), "text": "…"}}
    if isinstance(value, dict):
        return {str(name): describe(part, depth + 1) for name, part in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, set | frozenset):
        return sorted((describe(part, depth + 1) for part in value), key=str)
    if isinstance(value, list | tuple | range):
        return [describe(part, depth + 1) for part in value[:MAX_ITEMS]]
    return _other(value, depth)


def _exact(value: Any) -> Any:
    """Return a number or text as the built-in type it derives from; an enumeration's member as its value."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(getattr(value, "value", value)) if type(value) is not kind else value
    return value


def _other(value: Any, depth: int) -> Any:
    module = type(value).__module__.partition(".")[0]
    if module == "torch" and type(value).__name__ in ("device", "dtype"):
        return str(value)
    if module in ("numpy", "torch") and hasattr(value, "tolist") and getattr(value, "ndim", 9) <= 1:
        return describe(value.tolist(), depth + 1)
    if isinstance(value, type):
        return {"$object": {"kind": "class", "type": _full_name(value), "text": value.__name__}}
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return {"$object": {"kind": "function", "type": _full_name(value), "text": value.__name__}}
    return {"$object": _instance(value, depth)}


def _instance(value: Any, depth: int) -> dict[str, Any]:
    from cellmap_tui.learning.config_steps import OPTIONS_OF
    from cellmap_tui.learning.stand_ins import Call

    told: dict[str, Any] = {"kind": "instance", "type": _full_name(type(value)), "text": _text(value)}
    if isinstance(value, Call):
        told["kind"] = "call"
        told["arguments"] = [describe(part, depth + 1) for part in value.call_arguments]
        told["options"] = {name: describe(part, depth + 1) for name, part in value.call_options.items()}
    elif isinstance(getattr(value, "param_groups", None), list) and isinstance(
        getattr(value, "defaults", None), dict
    ):
        told["options"] = {name: describe(part, depth + 1) for name, part in value.defaults.items()}
        told["options"]["groups"] = len(value.param_groups)
    elif callable(getattr(value, "parameters", None)):
        told["options"] = {"parameters": sum(part.numel() for part in value.parameters())}
    elif type(value).__name__ in OPTIONS_OF:
        known = {name: getattr(value, name, None) for name in OPTIONS_OF[type(value).__name__]}
        told["options"] = {
            name: _single(describe(part, depth + 1)) for name, part in known.items() if part is not None
        }
    elif isinstance(getattr(value, "transforms", None), list | tuple):
        told["arguments"] = [describe(part, depth + 1) for part in value.transforms]
    return told


def _single(value: Any) -> Any:
    """Return the number of a list of equal numbers, such as a kernel's size along each axis."""
    is_same = isinstance(value, list) and len(value) > 0 and all(part == value[0] for part in value)
    return value[0] if is_same else value


def _full_name(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}".lstrip(".")


def _text(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - foreign code
        return f"({type(error).__name__} while showing it)"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
