"""`cellmap-tui make-datasplit`: the crops divided into training and validation, as the official CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, names
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.split_model import ForceAll, SplitPlan, SplitRequest, SplitResult, TargetCounts

EXAMPLES = """\
  cellmap-tui --batch make-datasplit -c nuc,mito -s 8 8 8 --seed 3 -cp split.csv
  cellmap-tui make-datasplit -c mito,er --dry-run                 classes x split, what is left out and why
  cellmap-tui --batch make-datasplit --targets targets.toml --min-foreground mito=0.1%
  cellmap-tui --batch make-datasplit -c er --k-folds 5 --group-by dataset
  cellmap-tui --batch make-datasplit -c nuc -s3                   addresses in the bucket, nothing on disk needed
What label arrays hold is looked up once and remembered beside the data. Crops that overlap are never on both
sides. The same seed and data give the same file. Options and columns are those of the official toolbox.
"""
DEFAULT_CLASSES = "nuc,er"
SHOWN_DROPPED = 20


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "make-datasplit", EXAMPLES)
    parser.add_argument("-c", "--classes", metavar="CLASS,…", help=f"classes (default: {DEFAULT_CLASSES})")
    parser.add_argument("--targets", type=Path, metavar="FILE", help="targets.toml in place of --classes")
    parser.add_argument("-cp", "--csv-path", type=Path, default=Path("datasplit.csv"), metavar="CSV", help="to write")
    parser.add_argument("-vr", "--validate-ratio", type=float, default=0.1, metavar="R", help="default: 0.1")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="of the draw (default: 42)")
    parser.add_argument("--k-folds", type=int, metavar="K", help="K splits, each crop validating once")
    parser.add_argument("--group-by", choices=("crop", "dataset"), default="crop", help="what stays on one side")
    _add_choice(parser)
    _add_force(parser)
    _add_places(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the matrix and what is left out; write nothing")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which crops")
    group.add_argument("-ds", "--datasets", metavar="NAME,…", help="datasets, patterns such as jrc_mus* allowed")
    group.add_argument("-cr", "--crops", default="all", metavar="CROPS", help="ids, ranges, dataset/crop, a filter")
    group.add_argument("-s", "--scale", type=triple, metavar="Z Y X", help="nm; crops that cannot serve it stay out")
    group.add_argument(
        "--coarse-labels", choices=("drop", "upsample"), default="drop", help="labels coarser than the scale"
    )
    group.add_argument(
        "--min-foreground", metavar="F", help="share such as 0.001 or 0.1%%, or CLASS=F,…: crops below it stay out"
    )
    group.add_argument("--no-scan", action="store_true", help="do not look at what labels hold")
    group.add_argument("--train-crops", metavar="CROP,…", help="crops that train, whatever the draw")
    group.add_argument("--validate-crops", metavar="CROP,…", help="crops that validate, whatever the draw")
    group.add_argument("--leave-out", metavar="CROP,…", help="crops that stay out of this split")
    group.add_argument("--force", action="store_true", help="go on although nothing can be learned of a class")


def _add_force(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("crops that lack a class")
    group.add_argument("-fa", "--force-all-classes", action="store_true", help="leave them out")
    group.add_argument("-ft", "--force-all-classes-train", action="store_true", help="validate on them alone")
    group.add_argument("-fv", "--force-all-classes-validate", action="store_true", help="train on them alone")


def _add_places(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("places other than the data root")
    group.add_argument("-sp", "--search-path", default="", metavar="PATH", help="with {dataset} and {name}")
    group.add_argument("-rn", "--raw-name", default="", metavar="NAME", help="{name} of the EM: em/fibsem-uint8")
    group.add_argument(
        "-cn", "--crop-name", default="", metavar="NAME", help="{name} of labels: labels/groundtruth/{crop}/{label}"
    )
    group.add_argument("-s3", "--use-s3", action="store_true", help="write addresses in the bucket")


def run(args: argparse.Namespace, context: Context) -> int:
    """Divide the crops, or say how they would be divided."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "make-datasplit", request, show)


def request_from(args: argparse.Namespace, context: Context) -> SplitRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.settings import checked_data_root
    from cellmap_tui.services.split_model import SplitRequest

    if args.classes is not None and args.targets is not None:
        raise RequestError("--classes and --targets contradict each other", "give one of them")
    return SplitRequest(
        csv_path=args.csv_path.expanduser().absolute(),
        data_root=checked_data_root(context.settings),
        classes=names(args.classes or DEFAULT_CLASSES),
        targets=absolute(args.targets),
        scale_nm=args.scale,
        coarse_labels=args.coarse_labels,
        datasets=names(args.datasets),
        crops=args.crops,
        validate_ratio=args.validate_ratio,
        force_all_classes=_force(args),
        seed=args.seed,
        group_by=args.group_by,
        k_folds=args.k_folds,
        min_foreground=parse_shares(args.min_foreground) if args.min_foreground else (),
        train_crops=names(args.train_crops),
        validate_crops=names(args.validate_crops),
        leave_out=names(args.leave_out),
        search_path=str(Path(args.search_path).expanduser().absolute()) if args.search_path else "",
        raw_name=args.raw_name,
        crop_name=args.crop_name,
        use_s3=args.use_s3,
        endpoint_url=context.settings.endpoint_url,
        bucket=context.settings.bucket,
        scan=not args.no_scan,
        force=args.force,
        dry_run=args.dry_run,
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def parse_shares(text: str) -> tuple[tuple[str, float], ...]:
    """Read shares: ``0.001`` or ``0.1%`` for any class, ``mito=0.1%,nuc=0.02`` for single ones.

    Raises
    ------
    RequestError
        If one is no number.
    """
    shares = []
    for word in names(text):
        name, equals, value = word.rpartition("=")
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            raise RequestError(
                f"--min-foreground {word}: {value!r} is no share", "give 0.001, 0.1% or mito=0.1%"
            ) from None
        if equals and not name:
            raise RequestError(f"--min-foreground {word} names no class", "as in mito=0.1%")
        shares.append((name, share))
    return tuple(shares)


def _force(args: argparse.Namespace) -> ForceAll:
    if args.force_all_classes or (args.force_all_classes_train and args.force_all_classes_validate):
        return "all"
    if args.force_all_classes_train:
        return "train"
    return "validate" if args.force_all_classes_validate else "none"


def _dry_run(request: SplitRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.report import SilentReporter
    from cellmap_tui.services.split import make_datasplit

    line = None if context.quiet or context.json else LineReporter()
    try:
        result = make_datasplit(request, line or SilentReporter())
    finally:
        if line is not None:
            line.close()
    if context.json:
        write_result("make-datasplit", result)
    else:
        show(result)
    return diagnostics.DONE


def show(result: SplitResult) -> None:
    """Write the matrix, what is left out, and the files, for people."""
    plan = result.plan
    for fold in plan.folds:
        output.write(f"fold {fold.fold}: {fold.train} train, {fold.validate} validate")
        _show_matrix(fold.targets)
    if not plan.folds:
        _show_matrix(plan.counts)
    _show_dropped(plan)
    if not plan.folds:
        output.write(
            f"\n{plan.train} train, {plan.validate} validate, {len(plan.dropped)} left out; seed {result.seed}"
        )
    for path in result.csv_paths:
        output.write(str(path))


def _show_matrix(rows: Sequence[TargetCounts]) -> None:
    output.write_table(
        [
            {
                "class": row.name,
                "train": row.train,
                "of": row.train_known,
                "voxels": _voxels(row.train_voxels),
                "validate": row.validate,
                "of ": row.validate_known,
                "voxels ": _voxels(row.validate_voxels),
                "left out": row.dropped or None,
            }
            for row in rows
        ],
        right=["train", "of", "voxels", "validate", "of ", "voxels ", "left out"],
    )


def _show_dropped(plan: SplitPlan) -> None:
    if not plan.dropped:
        return
    reasons: dict[str, list[str]] = {}
    for crop in plan.dropped:
        # The command that helps names its crop; crops that it helps alike are told in one line.
        reasons.setdefault(crop.reason.replace(crop.ref, "…"), []).append(crop.ref)
    output.write(f"\nleft out: {len(plan.dropped)}")
    for reason, refs in reasons.items():
        output.write(f"  {reason}: {_few(refs)}")


def _few(refs: Iterable[str]) -> str:
    names = list(refs)
    more = f" and {len(names) - SHOWN_DROPPED} more" if len(names) > SHOWN_DROPPED else ""
    return ", ".join(names[:SHOWN_DROPPED]) + more


def _voxels(voxels: int | None) -> str:
    return "-" if voxels is None else count(voxels)
