"""`cellmap-tui train`: train a network; go on with a run; render a job script for a cluster."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.cli import diagnostics, output
from cellmap_tui.cli.commands import Subparsers, add_command
from cellmap_tui.cli.values import absolute
from cellmap_tui.cli.work import run_here, run_work, start_job, write_result
from cellmap_tui.errors import RequestError
from cellmap_tui.text import count, duration, printable, size, triple, voxel

if TYPE_CHECKING:
    import argparse

    from cellmap_tui.cli.context import Context
    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.services.train_model import Preflight, TrainRequest, TrainResult

EXAMPLES = """\
  cellmap-tui --batch train config.toml
  cellmap-tui --batch train config.toml --set epochs=4 --set classes=nuc,mito --set device=cpu
  cellmap-tui --batch train config.toml --dry-run           memory, disk, patches per class, a timed step
  cellmap-tui --batch train --resume                        the newest training goes on in its directory
  cellmap-tui --batch train --set epochs=600 --resume 7f3a  also one that is done
  cellmap-tui train config.toml --detach                    as a job of its own
  cellmap-tui train config.toml --devices 4 --cluster slurm --time 24 -o job.sh && sbatch job.sh
"""
SIGNS = {"ok": "ok  ", "note": "note", "warning": "warn", "problem": "FAIL"}
NEWEST = ""
"""Value of a bare ``--resume``."""


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "train", EXAMPLES)
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        metavar="CONFIG",
        help=".toml or .py file, or the folder of a run; "
        "without one, the defaults that `cellmap-tui config show` lists, with --set on top",
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="a key on top of the file"
    )
    parser.add_argument(
        "--resume", nargs="?", const=NEWEST, metavar="RUN", help="go on with a run: the newest, or this one"
    )
    parser.add_argument("--name", default="", metavar="NAME", help="name of the model in files")
    parser.add_argument("--init-from", type=Path, metavar="CHECKPOINT|RUN", help="first weights; a report by layer")
    parser.add_argument("--devices", type=int, metavar="N", help="GPUs of this machine")
    parser.add_argument("--max-hours", type=float, metavar="H", help="stop after so many hours, with a checkpoint")
    parser.add_argument(
        "--score-every", type=int, metavar="N", help="official score of the validation crops every N epochs"
    )
    parser.add_argument("--profile", default="2026-06", metavar="NAME", help="rules of that score")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="folder of what is prepared from the crops")
    parser.add_argument("--dry-run", action="store_true", help="look, time a step, train nothing")
    parser.add_argument("--force", action="store_true", help="train in spite of what the look found")
    _add_cluster(parser)
    parser.set_defaults(handler=run)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a cluster's queue")
    group.add_argument("--cluster", choices=("slurm", "lsf"), help="write a job script in place of training here")
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="the script; standard output without it")
    group.add_argument("--time", type=float, default=24.0, metavar="HOURS", help="longest time of a job (24)")
    group.add_argument("--queue", default="", metavar="NAME", help="partition or queue")
    group.add_argument("--account", default="", metavar="NAME", help="account or project")
    group.add_argument("--cpus", type=int, default=0, metavar="N", help="processors; 8 for each GPU without it")
    group.add_argument("--memory", default="", metavar="SIZE", help="host memory; 48G for each GPU without it")


def run(args: argparse.Namespace, context: Context) -> int:
    """Train, go on, look, or write a job script."""
    if args.resume is not None:
        return _resume(args, context)
    request = request_from(args, context)
    _check(request, context)
    # The content that was allowed is remembered; what the file becomes later has to be allowed anew.
    request = replace(request, trust=False)
    if args.dry_run:
        return _dry_run(request, context)
    if args.cluster:
        return _write_script(args, context, request)
    return run_work(context, "train", request, show)


def request_from(args: argparse.Namespace, context: Context) -> TrainRequest:
    """Return the request that the options make."""
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import absolute_sets

    return TrainRequest(
        config=absolute(args.config),
        sets=absolute_sets(tuple(args.sets), Path.cwd()),
        name=args.name,
        devices=args.devices,
        max_hours=args.max_hours,
        init_from=_init_from(args.init_from, context),
        score_every=args.score_every,
        score_profile=args.profile,
        dry_run=args.dry_run,
        force=args.force,
        trust=context.trust_config,
        data_root=context.settings.data_root,
        state_dir=context.settings.state_dir,
        cache_dir=absolute(args.cache_dir),
    )


def show(result: TrainResult) -> None:
    """Write the result for people."""
    if result.ended == "dry_run":
        show_preflight(result.preflight)
        return
    ends = {
        "epochs": "all epochs done",
        "early_stop": "no better for long",
        "max_hours": "the time is up",
        "asked": "stopped after an epoch, as asked",
    }
    output.write(
        f"{result.model_name}: {count(result.epochs)} epochs, {count(result.steps)} batches in "
        f"{duration(result.seconds)}; {ends.get(result.ended, result.ended)}"
    )
    if result.best_epoch is not None and result.best_value is not None:
        output.write(f"best: epoch {result.best_epoch}, {result.best_metric} {result.best_value:.3f}")
        rows = [
            {"class": name, "Dice": "-" if value is None else f"{value:.3f}"} for name, value in result.dice.items()
        ]
        output.write_table(rows, right=("Dice",))
    for name, path in (("best weights", result.best_checkpoint), ("newest weights", result.last_checkpoint)):
        if path is not None:
            output.write(f"{name}: {path}")


def show_preflight(look: Preflight) -> None:
    """Write what a look found."""
    for finding in look.findings:
        output.write(f"{SIGNS[finding.status]}  {finding.name}: {finding.value}")
        if finding.remedy and finding.status != "ok":
            output.write(f"      {finding.remedy}")
    output.write_table(
        [
            {
                "class": row.name,
                "crops": row.train_crops,
                "voxels": count(row.train_voxels),
                "validated in": row.validate_crops,
                "patches/epoch": "-" if row.patches_per_epoch is None else f"{row.patches_per_epoch:.0f}",
            }
            for row in look.classes
        ],
        right=("crops", "voxels", "validated in", "patches/epoch"),
    )
    if look.step_s is not None and look.eta_s is not None:
        output.write(
            f"{look.device}: {look.step_s:.3g} s a batch, {count(look.steps_left)} batches, {duration(look.eta_s)}; "
            f"checkpoints take {size(look.disk_bytes)}"
        )


def _check(request: TrainRequest, context: Context) -> None:
    """Find a mistake in the configuration before a run directory is made; asks about a Python file."""
    from cellmap_tui.cli.commands.config import ask_trust
    from cellmap_tui.services.train_prepare import settled_config

    ask = None if context.batch or context.detach or not context.has_terminal else ask_trust
    config = settled_config(request, ask=ask).checked()
    if request.config is None and not context.quiet:
        diagnostics.note(_default_words(config))
    if request.data_root is None and not config.use_s3 and not config.datasplit_path.exists():
        from cellmap_tui.services.settings import checked_data_root

        checked_data_root(context.settings)


def _default_words(config: TrainConfig) -> str:
    """Say what is trained where no configuration is named."""
    patch = config.input_array_info[0]
    return printable(
        f"no configuration is named: the defaults and --set hold; classes {', '.join(config.classes)}; "
        f"{config.model_name}; patches of {triple(patch.shape)} voxels at {voxel(patch.scale_nm)} nm; "
        f"{count(config.epochs)} epochs; `cellmap-tui config show` lists all"
    )


def _dry_run(request: TrainRequest, context: Context) -> int:
    from cellmap_tui.cli.reporters import LineReporter
    from cellmap_tui.services.report import SilentReporter
    from cellmap_tui.services.train import train

    talks = not (context.quiet or context.json)
    with tempfile.TemporaryDirectory(prefix="cellmap-tui-") as folder:
        result = train(replace(request, folder=Path(folder)), LineReporter() if talks else SilentReporter())
    if context.json:
        write_result("train", result)
    else:
        show(result)
    return result.exit_code


def _resume(args: argparse.Namespace, context: Context) -> int:
    from cellmap_tui.jobs.runs import requeue

    run_dir = _run_to_resume(args, context)
    request = _next_request(args, context, run_dir)
    if args.cluster:
        return _write_script(args, context, request, run_dir)
    requeue(run_dir, request=request, argv=["cellmap-tui", *context.argv])
    if context.batch and not context.detach:
        return run_here(context, run_dir, "train", show)
    code = start_job(context, run_dir, "train")
    if context.detach or context.json or not context.has_terminal:
        return code
    from cellmap_tui.app.app import run_app

    settings = replace(context.settings, runs_root=run_dir.path.parent)
    return run_app(settings, start="runs", options={"run": run_dir.run_id})


def _run_to_resume(args: argparse.Namespace, context: Context) -> RunDir:
    from cellmap_tui.jobs.listing import find_run, newest_run
    from cellmap_tui.jobs.rundir import read_request
    from cellmap_tui.services.settings import checked_runs_root

    if args.resume and args.config is None and Path(args.resume).suffix in (".toml", ".py"):
        args.config, args.resume = Path(args.resume), NEWEST
    root = checked_runs_root(context.settings)
    run_dir = find_run(root, args.resume) if args.resume else newest_run(root, "train")
    command = read_request(run_dir).command
    if command != "train":
        raise RequestError(
            f"run {run_dir.run_id} is a {command}, no training", f"go on with it by: runs resume {run_dir.run_id}"
        )
    return run_dir


def _next_request(args: argparse.Namespace, context: Context, run_dir: RunDir) -> TrainRequest:
    """Return what is asked of a begun run now: what its folder keeps stands, this call's words change it."""
    from cellmap_tui.jobs.rundir import read_request
    from cellmap_tui.services.models import from_mapping
    from cellmap_tui.services.train_model import TrainRequest
    from cellmap_tui.services.train_prepare import CONFIG_NAME, settled_config

    asked = read_request(run_dir)
    before: TrainRequest = from_mapping(asked.values, TrainRequest, source=str(run_dir.request_path))
    now = request_from(args, context)
    begun = (run_dir.path / CONFIG_NAME).is_file()
    if now.config is not None and before.config is not None and now.config != before.config:
        diagnostics.warning(f"the run was begun with {before.config} and keeps it; {now.config} is not read")
    request = replace(
        before,
        sets=now.sets if begun else (*before.sets, *now.sets),
        name=now.name or before.name,
        devices=now.devices or before.devices,
        max_hours=now.max_hours or before.max_hours,
        score_every=now.score_every or before.score_every,
        cache_dir=now.cache_dir or before.cache_dir,
        force=now.force or before.force,
        trust=now.trust,
        dry_run=False,
    )
    settled_config(request, run_dir.path if begun else None)
    return replace(request, trust=False)


def _write_script(
    args: argparse.Namespace, context: Context, request: TrainRequest, run_dir: RunDir | None = None
) -> int:
    from cellmap_tui.jobs.cluster import ClusterJob, render_job, write_job
    from cellmap_tui.jobs.rundir import create_run
    from cellmap_tui.services.memory_budget import parse_size
    from cellmap_tui.services.settings import checked_runs_root
    from cellmap_tui.services.train_prepare import settled_config

    config = settled_config(request).checked()
    run_dir = run_dir or create_run(
        checked_runs_root(context.settings), "train", request, ["cellmap-tui", *context.argv]
    )
    job = ClusterJob(
        kind=args.cluster,
        run=run_dir.path,
        name=config.model_name,
        gpus=0 if config.device == "cpu" else config.devices,
        processors=args.cpus or 8 * config.devices,
        memory_bytes=parse_size(args.memory) if args.memory else 48 * 10**9 * config.devices,
        hours=args.time,
        queue=args.queue,
        account=args.account,
    )
    script = render_job(job)
    path = write_job(job, script, absolute(args.output))
    submit = f"sbatch {path}" if args.cluster == "slurm" else f"bsub < {path}"
    if context.json:
        write_result(
            "train", {"run_id": run_dir.run_id, "run_dir": str(run_dir.path), "script": str(path), "submit": submit}
        )
        return diagnostics.DONE
    if args.output is None:
        output.write(script.rstrip("\n"))
    else:
        output.write(str(path))
    diagnostics.note(f"run {run_dir.run_id} waits for its job; submit it with: {submit}")
    return diagnostics.DONE


def _init_from(given: Path | None, context: Context) -> Path | None:
    """Return a checkpoint, or a run's folder; a run may be named by its id."""
    if given is None or given.expanduser().exists():
        return absolute(given)
    from cellmap_tui.errors import CellmapError, MissingDataError
    from cellmap_tui.jobs.listing import find_run
    from cellmap_tui.services.settings import checked_runs_root

    try:
        return find_run(checked_runs_root(context.settings), str(given)).path
    except CellmapError:
        raise MissingDataError(f"no checkpoint and no run {given}", "give a .pth file or a run's folder") from None
