"""`cellmap-tui fetch-data`: crops from the bucket, planned, checked, resumable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RefusedError, RequestError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.fetch_archive import FetchArchivePlan, FetchArchiveResult
    from cellmap_tui.services.fetch_model import FetchRequest, FetchResult

EXAMPLES = """\
  cellmap-tui fetch-data --crops 234,236                      the app, with the plan of these crops
  cellmap-tui --batch fetch-data --crops 234,236 --dry-run    the plan: objects, bytes, levels and why, disk, time
  cellmap-tui --batch fetch-data --crops "mito voxel<=4" --raw-padding 16 --max-bytes 20G
  cellmap-tui --batch fetch-data --crops test --dest /data/cellmap
  cellmap-tui --batch fetch-data --zip --raw-padding 128      all crops, from the published archive
Start it again to go on: what is verified is not fetched again. If a part fails, one command to finish is named.
A level of the EM is fetched when its voxels are larger than 0.8 × those of the labels on every axis.
"""
_NAME = r"(?:all|test|(?:[A-Za-z0-9_.+-]+/)?(?:crop)?[0-9]+(?:-[0-9]+)?)"
_NAMES = re.compile(rf"{_NAME}(?:,{_NAME})*,?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "fetch-data", EXAMPLES)
    add_choice(parser, crops_default="all")
    parser.add_argument(
        "-m", "--access-mode", choices=("append", "overwrite"), default="append", help="keep what is verified, or not"
    )
    parser.add_argument("-b", "--batch-size", type=int, metavar="N", help="accepted; has no effect")
    parser.add_argument(
        "-w", "--num-workers", type=int, metavar="N", help="requests in flight at most (default: as the link carries)"
    )
    parser.add_argument("--limit-rate", type=amount, metavar="BYTES", help="bytes a second at most, such as 20M")
    parser.add_argument("--max-bytes", type=amount, metavar="BYTES", help="refuse a plan above this, such as 50G")
    parser.add_argument("--make-levels", action="store_true", help="compute coarser EM levels that the bucket lacks")
    parser.add_argument("--ignore-disk", action="store_true", help="go on although the disk looks too small")
    parser.add_argument("--profile", default="", metavar="NAME", help="AWS profile (default: anonymous)")
    parser.add_argument("--zip", action="store_true", help="all crops at once, from a published archive")
    parser.add_argument("--keep-zip", action="store_true", help="keep the archive beside the data")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, fetch nothing")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def add_choice(parser: argparse.ArgumentParser, *, crops_default: str) -> None:
    """Add the options that choose crops and how much of each."""
    parser.add_argument(
        "-c",
        "--crops",
        nargs="+",
        default=[crops_default],
        metavar="CROPS",
        help=f"all, test, ids and ranges (234,236,240-250), dataset/crop, or a filter (default: {crops_default})",
    )
    parser.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="labels of these classes alone")
    parser.add_argument(
        "-p", "--raw-padding", type=int, default=0, metavar="N", help="EM around, voxels of each level"
    )
    parser.add_argument("--raw-padding-nm", type=float, default=0.0, metavar="NM", help="EM around, in nm")
    parser.add_argument(
        "-all-res", "--fetch-all-em-resolutions", action="store_true", help="every level of the EM, however fine"
    )
    parser.add_argument("--levels", nargs="+", default=[], metavar="LEVEL", help="these levels alone, such as s1,s2")
    parser.add_argument("-d", "--dest", type=Path, metavar="DIR", help="where to (default: the data root)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Fetch, or print the plan."""
    request = request_from(args, context)
    if args.zip:
        return _run_archive(request, args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "fetch-data", _confirmed(request, context), show)


def request_from(args: argparse.Namespace, context: Context) -> FetchRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.fetch_model import FetchRequest

    settings = context.settings
    return FetchRequest(
        data_root=destination(args, context),
        crops=expression(args.crops),
        classes=listed(args.classes),
        raw_padding=args.raw_padding,
        raw_padding_nm=args.raw_padding_nm,
        fetch_all_em_resolutions=args.fetch_all_em_resolutions,
        levels=tuple(f"s{name}" if name.isdecimal() else name for name in listed(args.levels)),
        access_mode=args.access_mode,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        limit_rate=args.limit_rate,
        max_bytes=args.max_bytes,
        make_levels=args.make_levels,
        ignore_disk=args.ignore_disk,
        yes=context.yes,
        endpoint_url=settings.endpoint_url,
        bucket=settings.bucket,
        profile=args.profile,
        state_dir=settings.state_dir,
        manifest=source(args.manifest),
        train_manifest=source(args.train_manifest),
        test_manifest=source(args.test_manifest),
    )


def destination(args: argparse.Namespace, context: Context) -> Path:
    """Return the folder that ``--dest`` names, else the data root.

    Raises
    ------
    RequestError
        If it is a file or cannot be read.
    """
    from dataclasses import replace

    from cellmap_tui.services.settings import checked_data_root

    if args.dest is None:
        return checked_data_root(context.settings)
    return checked_data_root(replace(context.settings, data_root=args.dest.expanduser().absolute()))


def source(manifest: str | None) -> str | None:
    """Return a manifest's address as it is, and a path so that a job elsewhere finds it."""
    if manifest is None or "://" in manifest:
        return manifest
    return str(Path(manifest).expanduser().absolute())


def expression(words: Sequence[str]) -> str:
    """Return what several words choose: all of the crops that they name, or what meets a filter in pieces."""
    are_names = all(_NAMES.fullmatch(word) for word in words)
    return ",".join(word.strip(",") for word in words) if are_names else " ".join(words)


def listed(words: Sequence[str]) -> tuple[str, ...]:
    """Return names given with spaces or commas between them, each once."""
    names = (name for word in words for name in word.split(","))
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def amount(text: str) -> int:
    """Read an amount of bytes such as ``20M``, ``1.5G`` or ``300000``, in powers of 1000.

    Raises
    ------
    RequestError
        If it is none.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)b?(?:/s)?", text.strip().lower())
    if match is None:
        raise RequestError(f"'{text}' is no amount of bytes", "write it as 500M or 20G")
    return int(float(match[1]) * _UNITS[match[2]])


def show(result: FetchResult) -> None:
    """Write the result for people."""
    from cellmap_tui.services.fetch_words import result_lines

    for line in result_lines(result):
        output.write(line)


def _run_archive(request: FetchRequest, args: argparse.Namespace, context: Context) -> int:
    """Fetch all crops from a published archive, or print the plan of that."""
    from cellmap_tui.services.fetch_archive import archive_request, plan_fetch_archive

    archive = archive_request(request, keep_archive=args.keep_zip)
    if not args.dry_run:
        return run_work(context, "fetch-archive", archive, _show_lines)
    plan = plan_fetch_archive(archive)
    if context.json:
        write_result("fetch-archive", plan)
    else:
        _show_lines(plan)
    if not plan.fits:
        diagnostics.warning("the archive does not fit the disk with a margin: it would be refused")
    return diagnostics.DONE


def _show_lines(told: FetchArchivePlan | FetchArchiveResult) -> None:
    for line in told.lines:
        output.write(line)


def _dry_run(request: FetchRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.fetch_plan import plan_fetch
    from cellmap_tui.services.fetch_words import plan_lines
    from cellmap_tui.services.report import SilentReporter

    talks = not (context.quiet or context.json)
    line = LineReporter() if talks else None
    plan = plan_fetch(request, line or SilentReporter())
    if line is not None:
        line.close()
    if context.json:
        write_result("fetch-data", plan)
        return diagnostics.DONE
    for words in plan_lines(plan):
        output.write(words)
    if not plan.fits:
        diagnostics.warning("the plan does not fit the disk with a margin: it would be refused")
    return diagnostics.DONE


def _confirmed(request: FetchRequest, context: Context) -> FetchRequest:
    """Return the request after asking a person, where one sits there, whether to overwrite."""
    from dataclasses import replace

    if request.access_mode != "overwrite" or request.yes or not (context.headless and context.has_terminal):
        return request
    diagnostics.ask(f"remove what {request.data_root} has of these crops, then fetch it again?")
    if input().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was removed or fetched", "append, the default, keeps what is verified")
    return replace(request, yes=True)
