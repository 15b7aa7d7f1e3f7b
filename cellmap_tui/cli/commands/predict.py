"""`cellmap-tui predict`: probabilities of every voxel of crops or boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.commands.fetch_data import expression, listed, source
from cellmap_tui.cli.work import run_work
from cellmap_tui.errors import MissingDataError, RequestError

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.predict_model import PredictRequest, PredictResult

EXAMPLES = """\
  cellmap-tui --batch predict RUN --crops test
  cellmap-tui --batch predict RUN --crops 234,236 --dry-run
  cellmap-tui --batch predict checkpoints/unet_40.pth other/unet_12.pth --crops test --flips --overlap 0.5
  cellmap-tui --batch predict --ensemble ensemble.toml --crops test --max-bytes 50G
  cellmap-tui --batch predict RUN --em jrc_cos7-1a --box 0,0,0:8000,8000,8000 --name corner --remote
RUN is a run's name or folder, a folder of checkpoints, a .pth file or a configuration; several are averaged.
A prediction that was stopped or killed goes on where it was. Exit code 1 when a crop could not be predicted.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "predict", EXAMPLES)
    parser.add_argument("checkpoints", nargs="*", metavar="RUN|CHECKPOINT|CONFIG", help="whose probabilities")
    parser.add_argument("--ensemble", type=Path, metavar="FILE", help="ensemble.toml: runs, scales, weights by class")
    parser.add_argument("--checkpoint", choices=("best", "latest"), default="best", help="of a run (best)")
    parser.add_argument("--no-ema", action="store_true", help="weights of the last step in place of averaged ones")
    parser.add_argument("-c", "--crops", nargs="+", default=[], metavar="CROPS", help="crops to predict (test)")
    _add_box(parser)
    _add_classes(parser)
    _add_output(parser)
    _add_tiles(parser)
    parser.add_argument("--dry-run", action="store_true", help="say sizes and time, predict nothing")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_box(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the EM is")
    group.add_argument("--em", default="", metavar="DATASET|PATH", help="an EM volume in place of crops")
    group.add_argument("--box", metavar="Z,Y,X:Z,Y,X", help="its lower and upper corner in nm (default: all of it)")
    group.add_argument("--name", default="box", metavar="NAME", help="its name in place of the crop's (box)")
    group.add_argument("--remote", action="store_true", help="read the EM straight from the bucket")
    group.add_argument("--profile", default="", metavar="NAME", help="AWS profile (default: anonymous)")
    group.add_argument("--coarse-em", action="store_true", help="enlarge coarser EM where a level was not fetched")
    group.add_argument("-s", "--search-path", default="", metavar="PATH", help="with {dataset} and {name}")
    group.add_argument("-r", "--raw-name", default="", metavar="NAME", help="of the EM in --search-path")
    group.add_argument("-n", "--crop-name", default="", metavar="NAME", help="accepted; has no effect")


def _add_classes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is predicted")
    group.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="these, in every crop")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--all-classes", action="store_true", help="all that the network knows")
    which.add_argument("--filter-classes", action="store_true", help="those that the crop asks for (default)")
    group.add_argument("--no-cores", action="store_true", help="leave <class>/core out")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument("-o", "--output-path", default="", metavar="PATH", help="folder, or template {dataset} {crop}")
    group.add_argument("--dtype", choices=("uint8", "float16", "float32"), default="uint8", help="(uint8)")
    group.add_argument("--logits", action="store_true", help="logits in place of probabilities; for floats")
    group.add_argument(
        "--voxel-size", default="auto", metavar="NM", help="model, crop, auto (the coarser of both), or nm"
    )
    group.add_argument("-O", "--overwrite", action="store_true", help="replace predictions of other networks")
    group.add_argument("--max-bytes", metavar="SIZE", help="refuse to write more, such as 50G")
    group.add_argument("--ignore-disk", action="store_true", help="go on although the disk looks too small")


def _add_tiles(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how")
    group.add_argument("--overlap", type=float, default=0.25, metavar="SHARE", help="of neighbouring tiles (0.25)")
    group.add_argument("--blending", choices=("gaussian", "constant"), default="gaussian", help="(gaussian)")
    group.add_argument("--flips", action="store_true", help="average over all mirror images: 4 or 8 times the work")
    group.add_argument("--axes", default="", metavar="ZYX", help="slicing directions of a 2D network")
    group.add_argument("-so", "--skip-orthoplanes", action="store_true", help="the same as --axes z")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument("--devices", type=int, default=1, metavar="N", help="devices that share the blocks (1)")
    group.add_argument("--batch-size", type=int, metavar="N", help="tiles at a time; halved when memory ends")
    group.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="(auto)")
    group.add_argument("--memory", metavar="SIZE", help="for sums of probabilities, such as 4G")


def run(args: argparse.Namespace, context: Context) -> int:
    """Predict, or say what would be predicted."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "predict", request, show)


def request_from(args: argparse.Namespace, context: Context) -> PredictRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.predict_model import DEFAULT_CROPS, PredictRequest

    settings = context.settings
    search = str(Path(args.search_path).expanduser().absolute()) if args.search_path else ""
    return PredictRequest(
        checkpoints=tuple(_place(word, context) for word in args.checkpoints),
        ensemble=args.ensemble,
        which=args.checkpoint,
        averaged=not args.no_ema,
        data_root=None if settings.data_root is None else settings.data_root.absolute(),
        crops=expression(args.crops) if args.crops else DEFAULT_CROPS,
        em=args.em,
        box_nm=_box(args.box),
        name=args.name,
        classes=listed(args.classes),
        all_classes=args.all_classes,
        cores=not args.no_cores,
        output=args.output_path,
        voxel_size=args.voxel_size,
        dtype=args.dtype,
        unit="logits" if args.logits else "probability",
        overlap=args.overlap,
        blending=args.blending,
        flips=args.flips,
        axes=args.axes or ("z" if args.skip_orthoplanes else ""),
        device=args.device,
        devices=args.devices,
        batch_size=args.batch_size,
        precision=args.precision,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        max_bytes=parse_size(args.max_bytes) if args.max_bytes else None,
        ignore_disk=args.ignore_disk,
        overwrite=args.overwrite,
        coarse_em=args.coarse_em,
        remote=args.remote,
        endpoint_url=settings.endpoint_url,
        bucket=settings.bucket,
        profile=args.profile,
        search_path=search,
        raw_name=args.raw_name,
        dry_run=args.dry_run,
        trust=context.trust_config,
        state_dir=settings.state_dir,
        manifest=source(args.manifest),
        train_manifest=source(args.train_manifest),
        test_manifest=source(args.test_manifest),
    )


def show(result: PredictResult) -> None:
    """Write the result for people."""
    from cellmap_tui.services.predict_words import result_lines

    for line in result_lines(result):
        output.write(line)


def _dry_run(request: PredictRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.cli.work import write_result
    from cellmap_tui.services.predict import predict
    from cellmap_tui.services.report import SilentReporter

    talks = not (context.quiet or context.json)
    result = predict(request, LineReporter() if talks else SilentReporter())
    if context.json:
        write_result("predict", result)
    else:
        show(result)
    return result.exit_code


def _place(word: str, context: Context) -> str:
    """Return the path that a word means: a path, or the folder of a run of that name."""
    if Path(word).expanduser().exists() or "/" in word:
        return word
    from cellmap_tui.jobs.listing import find_run
    from cellmap_tui.services.settings import checked_runs_root

    try:
        return str(find_run(checked_runs_root(context.settings), word).path)
    except RequestError as error:
        raise MissingDataError(f"{word!r} is no file and no run: {error.message}", error.remedy) from None


def _box(text: str | None) -> tuple[Vec3, Vec3] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    if not colon:
        raise RequestError(f"--box {text}: no two corners", "write Z,Y,X:Z,Y,X in nm")
    return triple(low), triple(high)
