"""`cellmap-tui evaluate`: a submission or predictions against ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.arguments import triple
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, absolute_word, names
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.evaluate_model import EvaluatePlan, EvaluateRequest, EvaluateResult, Explanation
    from cellmap_tui.services.report import Reporter

EXAMPLES = """\
  cellmap-tui --batch evaluate -s submission.zip -t ground_truth.zarr --test-manifest test.csv -r result.json
  cellmap-tui --batch evaluate --predictions predictions --crops 234,236 --classes mito,er
  cellmap-tui --batch evaluate --predictions out.tif --crops 234 --classes mito --voxel-size 8
  cellmap-tui --batch evaluate --predictions nnunet_out --crops 234,236 --label mito=1 --label er=2
  cellmap-tui evaluate -s submission.zip -t ground_truth.zarr --dry-run      pairs, objects, memory, time
  cellmap-tui evaluate -s submission.zip -t ground_truth.zarr --explain crop557/mito
Finished pairs are kept: an evaluation that was killed goes on where it was. Profiles: 2026-06, 2026-07
(provisional), panoptic. Exit code 0 with missing volumes, 1 when a volume could not be scored.
"""
SHOWN_PAIRS = 15
SHOWN_OBJECTS = 40


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "evaluate", EXAMPLES)
    _add_sources(parser)
    parser.add_argument("--profile", default="2026-06", help="name of the rules (default: 2026-06)")
    parser.add_argument("--classes", metavar="CLASS,…", help="only these classes")
    parser.add_argument("-ic", "--instance-classes", metavar="CLASS,…", help="classes scored object by object")
    parser.add_argument("-r", "--result-file", type=Path, metavar="R.json", help="result; R_extended.json beside it")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row per crop and class as CSV")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables as Markdown")
    parser.add_argument(
        "-w", "--workers", type=int, metavar="N", help="processes; 0: this one (default: MAX_WORKERS)"
    )
    parser.add_argument("--memory", metavar="SIZE", help="of all processes, such as 8G (default: what is free)")
    parser.add_argument("--store", type=Path, metavar="DIR", help="folder of finished pairs")
    parser.add_argument("--rescore", action="store_true", help="score pairs again whose score is kept")
    parser.add_argument("--dry-run", action="store_true", help="show pairs, objects, memory and time; score nothing")
    parser.add_argument("--explain", metavar="CROP/CLASS", help="the objects behind one number")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    submission = parser.add_argument_group("a submission")
    submission.add_argument("-s", "--submission-path", type=Path, metavar="ZIP|FOLDER", help="what to score")
    submission.add_argument("-t", "--truth-path", type=Path, metavar="ZARR", help="ground truth: crop<N>/<class>")
    group = parser.add_argument_group("predictions")
    group.add_argument("--predictions", metavar="PATH", help="folder, template with {dataset} {crop}, or a stack")
    group.add_argument("--crops", metavar="CROPS", help="crops they belong to: ids, ranges, a filter")
    group.add_argument("--datasplit", type=Path, metavar="CSV", help="crops of a datasplit in place of --crops")
    group.add_argument("--split", choices=("validate", "train"), default="validate", help="which rows of it")
    group.add_argument("--voxel-size", type=triple, metavar="Z Y X", help="of stacks, in nm")
    group.add_argument("--translation", type=triple, metavar="Z Y X", help="of stacks: centre of voxel 0, in nm")
    group.add_argument("--axes", metavar="ORDER", help="of stacks, such as xyz (default: zyx)")
    group.add_argument(
        "--label", action="append", default=[], metavar="CLASS=VALUE", help="in stacks of several classes"
    )
    group.add_argument("--mapping", type=Path, metavar="JSON", help="labels and cases of a folder of stacks")


def run(args: argparse.Namespace, context: Context) -> int:
    """Score, or say what would be scored, or explain one number."""
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    if args.explain:
        return _explain(request, args.explain, context)
    return run_work(context, "evaluate", request, show)


def request_from(args: argparse.Namespace, context: Context) -> EvaluateRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.settings import checked_data_root

    return EvaluateRequest(
        submission=absolute(args.submission_path),
        truth=absolute(args.truth_path),
        predictions=absolute_word(args.predictions),
        crops=args.crops,
        datasplit=absolute(args.datasplit),
        split=args.split,
        profile=args.profile,
        classes=names(args.classes),
        instance_classes=None if args.instance_classes is None else names(args.instance_classes),
        voxel_size_nm=args.voxel_size,
        translation_nm=args.translation,
        axes=args.axes,
        labels=_labels(args.label),
        mapping=absolute(args.mapping),
        result_file=absolute(args.result_file),
        csv=absolute(args.csv),
        markdown=absolute(args.markdown),
        workers=args.workers,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        store=absolute(args.store),
        rescore=args.rescore,
        data_root=checked_data_root(context.settings) if args.predictions else None,
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def show(result: EvaluateResult) -> None:
    """Write the result for people: overall, classes, the worst pairs."""
    output.write_table(
        [
            {
                "class": row.label,
                "score": _figure(row.score),
                "F1": _figure(row.f1),
                "boundary": _figure(row.normalized_hausdorff_distance),
                "IoU": _figure(row.iou if row.kind == "semantic" else row.mean_matched_iou),
                "PQ": _figure(row.pq),
                "crops": row.crops,
                "missing": row.missing or None,
                "skipped": row.skipped or None,
            }
            for row in result.classes
        ],
        right=["score", "F1", "boundary", "IoU", "PQ", "crops", "missing", "skipped"],
    )
    if result.pairs:
        output.write("\nworst first:")
    output.write_table(
        [
            {
                "pair": f"{row.crop}/{row.label}",
                "score": _figure(row.score),
                "tp": row.tp,
                "fp": row.fp,
                "fn": row.fn,
                "status": row.status,
            }
            for row in result.pairs[:SHOWN_PAIRS]
        ],
        right=["score", "tp", "fp", "fn"],
    )
    rules = f"{result.profile}{', provisional' if result.provisional else ''}"
    output.write(
        f"\noverall {_figure(result.overall_score)} ({rules}): instance {_figure(result.overall_instance_score)}, "
        f"semantic {_figure(result.overall_semantic_score)}; {result.num_evals_done} of {result.total_evals} volumes"
    )
    absent = [kind for kind in ("instance", "semantic") if kind not in {row.kind for row in result.classes}]
    if absent and result.classes:
        output.write(f"there is no {absent[0]} class, so the overall score is 0, as officially")
    for words in result.errors:
        output.write(f"error: {words}")
    if result.result_file:
        output.write(f"{result.result_file}\n{result.extended_file}")


def show_plan(plan: EvaluatePlan) -> None:
    """Write a plan for people."""
    output.write_table(
        [
            {
                "pair": f"{row.crop}/{row.label}",
                "kind": row.kind,
                "state": row.state,
                "voxels": count(row.voxels),
                "objects": row.true_objects,
                "predicted": row.predicted_objects,
                "at most": row.most_objects,
                "memory": size(row.memory_bytes) if row.state == "score" else None,
                "time": duration(row.eta_s) if row.state == "score" else None,
            }
            for row in plan.pairs
        ],
        right=["voxels", "objects", "predicted", "at most", "memory", "time"],
    )
    output.write(
        f"{count(len(plan.pairs))} pairs, {count(plan.voxels)} voxels to score with {plan.workers or 1} workers: "
        f"about {duration(plan.eta_s)}, {size(plan.peak_bytes)} of {size(plan.budget_bytes)} memory "
        f"({plan.budget_origin})"
    )


def show_explanation(found: Explanation) -> None:
    """Write the objects behind a number for people."""
    for words in found.words:
        output.write(words)
    output.write_table(
        [
            {
                "object": row.what,
                "truth": row.true_id,
                "predicted": row.predicted_id,
                "IoU": _figure(row.iou),
                "distance nm": "-" if row.distance_nm is None else f"{row.distance_nm:.1f}",
                "boundary": _figure(row.boundary_score),
                "voxels": row.voxels,
                "position nm": " ".join(f"{value:.0f}" for value in row.position_nm or ()),
            }
            for row in found.objects[:SHOWN_OBJECTS]
        ],
        right=["truth", "predicted", "IoU", "distance nm", "boundary", "voxels"],
    )
    if len(found.objects) > SHOWN_OBJECTS:
        output.write(f"{len(found.objects) - SHOWN_OBJECTS} more objects; --json lists them all")


def _dry_run(request: EvaluateRequest, context: Context) -> int:
    from cellmap_tui.services.evaluate import plan_evaluate

    plan = plan_evaluate(request, _reporter(context), count_objects=True)
    if context.json:
        write_result("evaluate", plan)
    else:
        show_plan(plan)
    return diagnostics.DONE


def _explain(request: EvaluateRequest, pair: str, context: Context) -> int:
    from cellmap_tui.services.explain import explain

    found = explain(replace(request, classes=()), pair, _reporter(context))
    if context.json:
        write_result("evaluate", found)
    else:
        show_explanation(found)
    return diagnostics.DONE


def _reporter(context: Context) -> Reporter:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.report import SilentReporter

    return SilentReporter() if context.quiet or context.json else LineReporter()


def _labels(words: list[str]) -> dict[str, int]:
    labels = {}
    for word in words:
        name, _, value = word.partition("=")
        if not (name and value.lstrip("-").isdecimal()):
            raise RequestError(f"--label {word}: not of the form CLASS=VALUE", "for example --label mito=1")
        labels[name] = int(value)
    return labels


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
