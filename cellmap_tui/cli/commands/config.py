"""`cellmap-tui config`: show, check, compare and convert training configurations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.learning.config_python import PythonFacts
    from cellmap_tui.services.config import ConfigRow, ConfigSource

EXAMPLES = """\
  cellmap-tui config keys                       every key, what it takes, both defaults
  cellmap-tui config show config.toml --set epochs=4
  cellmap-tui config check train.py --trust-config
  cellmap-tui config diff config.toml train.py
  cellmap-tui config convert train.py config.toml
A configuration is TOML, or Python as the official toolbox has it. Python is code: it runs after you have
allowed that content once, in a process of its own.
"""
_SIGNS = {"ok": "✓", "note": "·", "problem": "✗"}
VALUE_CELLS = 60


def add(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    parser = add_command(subparsers, "config", EXAMPLES)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, summary, handler in (
        ("keys", "every key, what it takes and its defaults", keys),
        ("show", "every value and where it comes from", show),
        ("check", "what is wrong, held against split, data and machine", check),
        ("diff", "the keys that two configurations do not share", diff),
        ("convert", "write it as TOML", convert),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.set_defaults(handler=handler)
        if name == "keys":
            verb.add_argument("keys", nargs="*", metavar="KEY", help="only these")
            continue
        if name == "diff":
            verb.add_argument("first", type=Path, metavar="FIRST", help=".toml or .py, or a run")
            verb.add_argument("second", type=Path, metavar="SECOND", help="the other")
        else:
            verb.add_argument(
                "config", nargs="?", type=Path, metavar="CONFIG", help=".toml or .py (default: defaults)"
            )
        verb.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE", help="on top of it")
        verb.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds for a Python file (120)")
        if name == "show":
            verb.add_argument("--changed", action="store_true", help="only what is not at its default")
        if name == "convert":
            verb.add_argument("output", nargs="?", type=Path, metavar="OUT.toml", help="default: to stdout")
            verb.add_argument("-O", "--overwrite", action="store_true", help="replace the file if it is there")
            verb.add_argument("--all", action="store_true", dest="everything", help="write the defaults as well")


def keys(args: argparse.Namespace, context: Context) -> int:
    """List the keys."""
    from cellmap_tui.errors import UnknownNameError
    from cellmap_tui.learning.config_model import keys as known_keys
    from cellmap_tui.text import nearest

    known = known_keys()
    names = [name.replace("-", "_") for name in args.keys]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise UnknownNameError(f"no key is called {name!r}", f"did you mean {near!r}?" if near else "")
    rows = [
        {
            "key": key.name,
            "group": key.group,
            "default": key.default,
            "official": key.official,
            "takes": key.kind.words,
            "help": key.help,
            "new": key.is_new,
        }
        for key in known.values()
        if not names or key.name in names
    ]
    if context.json:
        output.write_json(rows)
        return diagnostics.DONE
    group = ""
    for row in rows:
        if row["group"] != group:
            group = str(row["group"])
            output.write(f"\n{group}" if row is not rows[0] else group)
        official = "" if row["official"] == row["default"] else f" (Python: {_cut(row['official'])})"
        output.write(f"  {row['key']} = {_cut(row['default'])}{official}")
        output.write(f"      {row['help']}; {row['takes']}")
    return diagnostics.DONE


def show(args: argparse.Namespace, context: Context) -> int:
    """Show a configuration."""
    from cellmap_tui.services.config import show_config
    from cellmap_tui.services.models import to_builtins

    shown = show_config(_source(args.config, args, context), ask=_asker(context))
    rows = [row for row in shown.rows if not args.changed or row.origin != "default"]
    if context.json:
        output.write_json({**to_builtins(shown), "rows": to_builtins(rows)})
    else:
        _write_rows(rows)
    for warning in shown.warnings:
        diagnostics.warning(warning)
    for problem in shown.problems:
        place = f"{problem.place}: " if problem.place else ""
        diagnostics.warning(f"{place}{problem.message}; {problem.remedy}")
    return diagnostics.FAILED if shown.problems else diagnostics.DONE


def check(args: argparse.Namespace, context: Context) -> int:
    """Check a configuration."""
    from cellmap_tui.services.config_check import check_config
    from cellmap_tui.services.models import to_builtins

    found = check_config(_source(args.config, args, context), ask=_asker(context))
    if context.json:
        output.write_json(to_builtins(found))
        return found.exit_code
    for finding in found.findings:
        place = f"{finding.place}: " if finding.place and finding.status != "ok" else ""
        # Most problems begin with the key that they are about.
        name = "" if finding.value.startswith(finding.name) and finding.name else f"{finding.name}: "
        output.write(f"{_SIGNS[finding.status]} {name}{place}{finding.value}")
        if finding.remedy:
            output.write(f"    {finding.remedy}")
    return found.exit_code


def diff(args: argparse.Namespace, context: Context) -> int:
    """Compare two configurations."""
    from cellmap_tui.services.config import diff_configs
    from cellmap_tui.services.models import to_builtins

    first, second = _source(args.first, args, context), _source(args.second, args, context)
    rows = diff_configs(first, second, ask=_asker(context))
    if context.json:
        output.write_json([to_builtins(row) for row in rows])
        return diagnostics.DONE
    output.write_table(
        [{"key": row.key, args.first.name: _cut(row.first), args.second.name: _cut(row.second)} for row in rows]
    )
    if not rows:
        diagnostics.note("the two say the same")
    return diagnostics.DONE


def convert(args: argparse.Namespace, context: Context) -> int:
    """Write a configuration as TOML."""
    from cellmap_tui.services.config import convert_config
    from cellmap_tui.services.models import to_builtins

    made = convert_config(
        _source(args.config, args, context),
        args.output,
        everything=args.everything,
        overwrite=args.overwrite,
        ask=_asker(context),
    )
    for warning in made.warnings:
        diagnostics.warning(warning)
    for path in made.python_files:
        diagnostics.note(f"objects that TOML cannot hold are still taken from {path}")
    if context.json:
        output.write_json(to_builtins(made))
    elif made.path is None:
        output.write(made.text.rstrip("\n"))
    else:
        output.write(str(made.path))
    return diagnostics.DONE


def _source(path: Path | None, args: argparse.Namespace, context: Context) -> ConfigSource:
    from cellmap_tui.errors import RequestError
    from cellmap_tui.services.config import ConfigSource

    if not args.timeout > 0:
        raise RequestError(f"--timeout is {args.timeout:g}", "give seconds above 0")
    return ConfigSource(
        path=None if path is None else path.expanduser(),
        sets=tuple(args.sets),
        state_dir=context.settings.state_dir,
        data_root=context.settings.data_root,
        trust=context.trust_config,
        timeout_s=args.timeout,
    )


def _asker(context: Context) -> Any:
    return None if context.batch or not context.has_terminal else ask_trust


def ask_trust(facts: PythonFacts) -> bool:
    """Ask whether a Python file may run; only yes is yes."""
    from cellmap_tui.services.trust import facts_in_words

    diagnostics.note(f"{facts.path} is Python code ({facts_in_words(facts)}); it can do anything you can")
    diagnostics.ask("run it, now and whenever its content is the same?")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _write_rows(rows: list[ConfigRow]) -> None:
    group = ""
    width = max((len(row.key) for row in rows), default=0)
    for row in rows:
        if row.group != group:
            group = row.group
            output.write(f"\n{group}" if row is not rows[0] else group)
        value = _cut(row.value)
        output.write(f"  {row.key.ljust(width)}  {value}" + ("" if row.origin == "default" else f"  ({row.origin})"))


def _cut(value: object) -> str:
    from cellmap_tui.learning.config_write import toml_value
    from cellmap_tui.text import cut_middle, printable

    return cut_middle(printable(" ".join(toml_value(value).split())), VALUE_CELLS)
