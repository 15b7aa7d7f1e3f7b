"""`cellmap-tui`: finds the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import join_numbers, truthy, with_hyphens
from cellmap_tui.cli.context import Parser, add_global_options, split_globals
from cellmap_tui.errors import CellmapError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context

TRIPLES = {
    "--voxel-size": 3,
    "--translation": 3,
    "--box": 6,
    "--scale": 3,
    "-s": 3,
    "--patch": 3,
    "--margin": 3,
    "--margin-nm": 3,
    "--position": 3,
}
"""Flags that take several numbers; each command reads them with `arguments.triple` or its like."""

SINGLES = {"visualize": frozenset({"--margin"})}
"""Flags that take one number in a command, so that the crop after it stays a crop."""

EPILOG = """\
Without a command the app opens. A working command opens the app on its screen, with the options filled
in; with --batch (or without a terminal) it runs here. Commands that only print never open the app.
Every option has an environment variable: --data-root is CELLMAP_TUI_DATA_ROOT, --batch CELLMAP_TUI_BATCH=1.
Exit codes: 0 done, 1 failed or found something, 2 wrong request, 3 refused for safety, 130 stopped.
"""


def entry() -> None:
    """Run the command line of this process."""
    code = main(sys.argv[1:])
    gc.freeze()  # else the interpreter looks through every object once more before it goes, which costs 5 ms
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Run one command line.

    Returns
    -------
    int
        The exit code.
    """
    debug = "--debug" in argv
    try:
        return _run(argv)
    except CellmapError as error:
        return _tell(error, argv, debug=debug)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        output.end_quietly()
        return diagnostics.DONE
    except OSError as error:
        if debug or error.filename is None:
            raise
        problem = CellmapError(f"{error.filename}: {error.strerror}", "check the path, its permissions and the disk")
        return _tell(problem, argv, debug=False)


def _tell(error: CellmapError, argv: Sequence[str], *, debug: bool) -> int:
    if _answers_in_events(argv):
        output.write_event(
            "error", kind=error.kind, message=error.message, remedy=error.remedy, exit_code=error.exit_code
        )
    return diagnostics.error(error, debug=debug)


def _run(argv: Sequence[str]) -> int:
    single = next((SINGLES[word] for word in argv if word in SINGLES), frozenset[str]())
    words = join_numbers(with_hyphens(argv), {flag: most for flag, most in TRIPLES.items() if flag not in single})
    context, rest = split_globals(words)
    if "--version" in rest[:1]:
        from cellmap_tui.version import __version__

        output.write(f"cellmap-tui {__version__}")
        return diagnostics.DONE
    if not rest:
        return _open_app(context)
    parser = build_parser(rest)
    args, unknown = parser.parse_known_args(rest)
    if unknown:
        name = args.command
        raise RequestError(f"{name}: {unknown[0]!r} is not an option", f"see: cellmap-tui {name} --help")
    code: int = args.handler(args, context)
    sys.stdout.flush()
    return code


def build_parser(words: Sequence[str]) -> Parser:
    """Return the parser for these words, the global options taken out."""
    from cellmap_tui.cli import commands

    parser = Parser(
        prog="cellmap-tui",
        description="One tool for the CellMap Segmentation Challenge, in the terminal and headless.",
        epilog=EPILOG,
        formatter_class=commands.HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    add_global_options(parser)
    commands.add_commands(parser, next((word for word in words if not word.startswith("-")), None))
    return parser


def _answers_in_events(argv: Sequence[str]) -> bool:
    """Whether a program reads stdout as a stream of events, whose last line must tell of an error."""
    from cellmap_tui.cli.work import WORKING_COMMANDS

    asked = "--json" in argv or truthy(os.environ.get("CELLMAP_TUI_JSON"))
    return asked and any(word in WORKING_COMMANDS for word in argv)


def _open_app(context: Context) -> int:
    if not context.has_terminal or context.batch:
        raise RequestError(
            "no command was given and the app needs a terminal",
            "name a command (see cellmap-tui --help); working commands take --batch here",
        )
    from cellmap_tui.app.app import run_app

    return run_app(context.settings)


if __name__ == "__main__":
    entry()
