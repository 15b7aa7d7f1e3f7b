"""`cellmap-tui process`: predictions into labels by a recipe per class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.catalog_options import add_manifest_options
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute, absolute_word, names
from cellmap_tui.cli.work import run_work, write_result
from cellmap_tui.text import count, duration, printable, size

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.services.process_model import ProcessedVolume, ProcessPlan, ProcessRequest, ProcessResult

EXAMPLES = """\
  cellmap-tui --batch process recipe.toml --crops test
  cellmap-tui --batch process --crops 234 --classes mito        the built-in recipe
  cellmap-tui --batch process config.py --crops test --trust-config     its process_func, as in the official toolbox
  cellmap-tui process recipe.toml --dry-run        which volumes, by which steps, memory, disk and time
  cellmap-tui process --steps                      the steps of recipes and their options
Objects do not break at the borders of blocks, whatever the size. Killed or stopped, it goes on with the block it
was at. Labels that are there already from the same recipe and prediction are kept.
"""
SHOWN = 10


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "process", EXAMPLES)
    parser.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE", help="TOML, or a Python configuration")
    parser.add_argument("-c", "--crops", default="test", metavar="CROPS", help="all, test, ids, ranges or a filter")
    parser.add_argument("--classes", metavar="CLASS,…", help="only these (default: all that are predicted)")
    parser.add_argument(
        "-i",
        "--input-path",
        metavar="PATH",
        help="predictions: folder or template with {dataset} and {crop} (default: DATA_ROOT/predictions/…)",
    )
    parser.add_argument(
        "-o", "--output-path", metavar="PATH", help="(default: DATA_ROOT/processed/{dataset}.zarr/{crop})"
    )
    parser.add_argument("-O", "--overwrite", action="store_true", help="replace labels that were made otherwise")
    parser.add_argument("-d", "--device", metavar="DEVICE", help="of the tensors that a process_func gets")
    parser.add_argument("-w", "--max-workers", "--workers", type=int, metavar="N", help="blocks at once")
    parser.add_argument("--memory", metavar="SIZE", help="for voxels, such as 2G (default: 1.2G)")
    parser.add_argument("--blocks", action="store_true", help="give a process_func blocks in place of whole crops")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--steps", action="store_true", help="show the steps that recipes may have")
    add_manifest_options(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace, context: Context) -> int:
    """Process, or show what would be done."""
    if args.steps:
        return _show_steps(context)
    request = request_from(args, context)
    if args.dry_run:
        return _dry_run(request, context)
    return run_work(context, "process", request, show)


def request_from(args: argparse.Namespace, context: Context) -> ProcessRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.process_model import ProcessRequest
    from cellmap_tui.services.settings import checked_data_root

    return ProcessRequest(
        recipe=absolute(args.recipe),
        crops=args.crops,
        classes=names(args.classes),
        predictions=absolute_word(args.input_path),
        output=absolute_word(args.output_path),
        overwrite=args.overwrite,
        workers=args.max_workers,
        memory_bytes=parse_size(args.memory) if args.memory else None,
        device=args.device,
        whole=not args.blocks,
        trust=context.trust_config,
        data_root=checked_data_root(context.settings),
        state_dir=context.settings.state_dir,
        manifest=args.manifest,
        train_manifest=args.train_manifest,
        test_manifest=args.test_manifest,
    )


def show(result: ProcessResult) -> None:
    """Write the result for people."""
    output.write_table([_row(volume) for volume in result.volumes], right=["objects", "voxels", "share"])
    for volume in [volume for volume in result.volumes if volume.problem][:SHOWN]:
        output.write(printable(f"error: {volume.crop}/{volume.label}: {volume.problem}"))
    words = f"{count(result.done)} made, {count(result.kept)} there already, {count(result.failed)} failed"
    output.write(f"{words}, {duration(result.elapsed_s)}: {result.output}")


def show_plan(plan: ProcessPlan) -> None:
    """Write a plan for people."""
    output.write_table(
        [
            {
                "crop": volume.crop,
                "class": volume.label,
                "state": volume.state,
                "voxels": count(volume.voxels) if volume.voxels else None,
                "steps": printable(volume.words or volume.steps),
            }
            for volume in plan.volumes
        ],
        right=["voxels"],
    )
    for note in plan.notes:
        output.write(note)
    output.write(
        f"{count(plan.voxels)} voxels, blocks of {plan.block}, {count(plan.workers)} at once in "
        f"{size(plan.memory_bytes)}, about {duration(plan.eta_s)}; at most {size(plan.scratch_bytes)} in between "
        f"before compression; {size(plan.free_bytes)} free"
    )


def _row(volume: ProcessedVolume) -> dict[str, object]:
    share = None if volume.foreground is None else f"{100 * volume.foreground / max(1, volume.voxels):.2g} %"
    return {
        "crop": volume.crop,
        "class": volume.label,
        "kind": volume.kind if not volume.problem else "failed",
        "type": volume.dtype or None,
        "objects": None if volume.objects is None else count(volume.objects),
        "voxels": count(volume.voxels),
        "share": share,
        "": "there already" if volume.kept else None,
    }


def _dry_run(request: ProcessRequest, context: Context) -> int:
    from cellmap_tui.services.process_plan import plan_process

    plan = plan_process(request)
    if context.json:
        write_result("process", plan)
    else:
        show_plan(plan)
    return diagnostics.DONE


def _show_steps(context: Context) -> int:
    from cellmap_tui.services.process_steps import STEPS

    rows = [
        {"step": name if not number else "", "option": option, "what": words}
        for name, kind in STEPS.items()
        for number, (option, words) in enumerate(
            [("", kind.words), *((key, _option_words(one)) for key, one in kind.options.items())]
        )
    ]
    if context.json:
        import dataclasses

        output.write_json({name: dataclasses.asdict(kind) for name, kind in STEPS.items()})
    else:
        output.write_table(rows)
    return diagnostics.DONE


def _option_words(option: object) -> str:
    default = getattr(option, "default", None)
    return f"{getattr(option, 'words', '')}{'' if default is None else f' ({default})'}"
