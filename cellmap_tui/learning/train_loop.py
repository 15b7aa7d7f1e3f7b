"""The training loop: batches in, checkpoints out, the same weights however often it is interrupted.

Owns the order of things: epochs, updates, checkpoints, validations, what is asked in between, and the end.
A checkpoint is written after each epoch, before its validation; a stop within an epoch leaves one there.
"""

from __future__ import annotations

import math
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.learning import checkpoints, history, model_card
from cellmap_tui.learning.checkpoints import NOW, CheckpointNotWrittenError
from cellmap_tui.learning.loss_watch import LossWatch, NotANumberError, calmer, has_only_numbers
from cellmap_tui.learning.ranks import joined
from cellmap_tui.learning.train_asks import Asks
from cellmap_tui.learning.train_listener import StepRecord, TrainOutcome, TrainSilence
from cellmap_tui.learning.train_parts import TrainParts, make_parts, wrap
from cellmap_tui.learning.train_state import Position, gathered, latest_state, restore, weights_to_use
from cellmap_tui.learning.train_step import Learned, Learner
from cellmap_tui.learning.train_validate import default_validate, measured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.config_model import TrainConfig
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.learning.train_listener import Ending, TrainListener, Validate

PROGRESS_S = 0.5
"""How often progress is told at most."""


def train(
    config: TrainConfig,
    bank: Bank,
    card: ModelCard,
    folder: Path,
    listener: TrainListener | None = None,
    *,
    validate: Validate | None = None,
    objects: Mapping[str, Any] | None = None,
    init_from: Path | None = None,
    resume: bool = False,
) -> TrainOutcome:
    """Train a network on the crops of a bank.

    Parameters
    ----------
    config
        A checked configuration.
    bank
        Crops at the voxel size of the patch; those for training are drawn from.
    card
        The network; written to ``model.json`` in `folder`.
    folder
        The run's folder; checkpoints go where the configuration says, below it unless that is elsewhere.
    listener
        Hears of steps, validations and files; says what is asked.
    validate
        Measures the network on the crops for validation; None: that of `validator`, where there are any.
    objects
        Objects of a Python configuration by key: ``model``, ``criterion``, ``optimizer``, ``scheduler``.
    init_from
        A checkpoint whose weights to start from; of a resumed run without meaning.
    resume
        Whether to go on from the last checkpoint in `folder`, if there is one.

    Returns
    -------
    TrainOutcome
        Why it ended, and its checkpoints.

    Raises
    ------
    Stopped
        If the user asked to stop; a checkpoint was written first.
    RequestError
        If the configuration does not fit the machine, the network or the crops.
    CellmapError
        If the loss is no number, the device fails or memory ends; says which checkpoint is the last good one.
    """
    heard = listener or TrainSilence()
    with joined() as ranks:
        parts = make_parts(config, bank, card, folder, ranks, objects or {})
        chosen = default_validate(parts, bank) if validate is None else validate
        run = _Run(parts, heard if ranks.is_first else TrainSilence(), chosen)
        run.start(init_from, resume=resume)
        return run.to_the_end()


class _Run:
    """One training, from its start or its last checkpoint to its end or the next stop."""

    def __init__(self, parts: TrainParts, listener: TrainListener, validate: Validate | None) -> None:
        self._parts = parts
        self._config = parts.config
        self._listener = listener
        self._validate = validate
        self._at = Position()
        self._asks = Asks(listener, parts.ranks, parts.config.max_hours)
        self._watch = LossWatch(calmer(parts.config))
        self._learner = Learner(parts, listener.warning)
        self._failed_saves = 0
        self._told_s = -math.inf
        self._began_s = time.monotonic()
        self._values: dict[str, float] = {}

    # -- begin and end ------------------------------------------------------------------------

    def start(self, init_from: Path | None, *, resume: bool) -> None:
        """Lay in the weights to start from, or the last checkpoint."""
        parts, names = self._parts, self._parts.names
        if parts.ranks.is_first:
            parts.folder.mkdir(parents=True, exist_ok=True)
            names.folder.mkdir(parents=True, exist_ok=True)
            for place in {parts.folder, names.folder.parent}:
                model_card.write_card(place / model_card.NAME, parts.card)
        found = latest_state(names, self._listener.warning) if resume else None
        if found is None and init_from is not None:
            self._init_from(init_from)
        wrap(parts)
        if found is not None:
            self._resume(*found)
        if parts.ranks.is_first:
            history.forget_after(names.history, self._at.epoch)
        # Nobody writes before everybody has read.
        parts.ranks.told([0.0])
        parts.network.train()
        self._learner.batch_parts = self._at.batch_parts
        self._listener.note(f"training on {parts.machine.words()}")

    def to_the_end(self) -> TrainOutcome:
        """Train until something ends it."""
        ending: Ending | None = None
        try:
            if self._at.epoch and not self._at.batch:
                ending = self._settle()
            while ending is None and self._at.epoch < self._config.epochs:
                ending = self._epoch()
        except (NotANumberError, torch.AcceleratorError) as error:
            raise self._with_last_good(error) from error
        return self._outcome(ending or "finished")

    def _init_from(self, path: Path) -> None:
        from cellmap_tui.learning.weights import init_from_checkpoint

        files = checkpoints.find_checkpoint(path)
        report = init_from_checkpoint(self._parts.network, self._parts.card, files.weights, files.card)
        for line in report.lines():
            self._listener.note(line)

    def _resume(self, state: Mapping[str, Any], epoch: int | str) -> None:
        parts = self._parts
        self._at = restore(parts, state, epoch, self._listener.warning)
        config = self._config
        if self._at.batch > config.iterations_per_epoch:
            self._at.batch = config.iterations_per_epoch
        rows = history.read_history(parts.names.history)
        # The finished epoch's own score is told when it is settled, unless that was done before the stop.
        told = self._at.epoch if self._at.batch else self._at.epoch - 1
        scores = [self._badness(row.score) for row in rows if row.epoch <= told]
        parts.step_size.walk_to(self._at.epoch, scores)
        # Of the configuration the service tells which keys change.
        if state.get("split_hash") and parts.card.split_hash and state["split_hash"] != parts.card.split_hash:
            self._listener.warning("the split is not the one of the checkpoint")
        if int(state.get("ranks", 1)) != parts.ranks.count:
            self._listener.warning(
                f"the checkpoint is of {state['ranks']} processes, now there are {parts.ranks.count}"
            )
        self._listener.note(f"going on after epoch {self._at.epoch}, batch {self._at.batch} (step {self._at.step})")

    def _outcome(self, ending: Ending) -> TrainOutcome:
        names = self._parts.names
        there = names.epochs()
        best = next((r for r in history.best_first(history.read_history(names.history)) if r.epoch in there), None)
        return TrainOutcome(
            ending=ending,
            epoch=self._at.epoch,
            step=self._at.step,
            seconds=time.monotonic() - self._began_s,
            last=names.weights(there[-1]) if there else None,
            best=None if best is None else names.weights(best.epoch),
            best_epoch=None if best is None else best.epoch,
            best_score=None if best is None else best.score,
            batch_parts=self._learner.batch_parts,
            values=self._values,
        )

    def _with_last_good(self, error: Exception) -> CellmapError:
        there = self._parts.names.epochs()
        last = f"the last good checkpoint is {self._parts.names.weights(there[-1])}" if there else "no checkpoint yet"
        if isinstance(error, NotANumberError):
            return NotANumberError(f"{error.message}; {last}", error.remedy)
        told = next(iter(str(error).splitlines()), "")[:160]
        where = f"step {self._at.step + 1} (epoch {self._at.epoch + 1})"
        return CellmapError(
            f"the device stopped working at {where}: {told}; {last}",
            "look at it with `nvidia-smi` and `cellmap-tui doctor`, then resume the run",
        )

    # -- an epoch -----------------------------------------------------------------------------

    def _epoch(self) -> Ending | None:
        """Learn for an epoch; return what ends training."""
        at, config = self._at, self._config
        length = config.gradient_accumulation_steps
        ending: Ending | None = None
        left = config.iterations_per_epoch - at.batch
        batches = iter(self._parts.loader(at.epoch, at.batch)) if left > 0 else iter(())
        try:
            self._learner.rest()
            while at.batch < config.iterations_per_epoch:
                ending = self._between()
                if ending is not None:
                    return ending
                self._update(batches, min(length, config.iterations_per_epoch - at.batch))
        finally:
            if hasattr(batches, "close"):
                batches.close()
        self._watch.look(at_all=True)
        at.epoch, at.batch = at.epoch + 1, 0
        self._parts.step_size.epoch_ended()
        self._save(at.epoch)
        return self._settle()

    def _update(self, batches: Any, length: int) -> None:
        at = self._at
        lr = self._parts.step_size.apply(at.epoch, at.batch // self._config.gradient_accumulation_steps)
        for learned in self._learner.group(islice(batches, length), length):
            at.batch, at.step = at.batch + 1, at.step + 1
            self._tell(learned, lr)
        self._watch.look()

    def _tell(self, learned: Learned, lr: float) -> None:
        at = self._at
        self._watch.put(learned.loss, at.step, at.epoch + 1, learned.batch)
        self._listener.step(
            StepRecord(
                step=at.step,
                epoch=at.epoch + 1,
                loss=learned.loss,
                by_column=learned.by_column,
                grad_norm=learned.grad_norm,
                lr=lr,
                samples=len(learned.batch) * self._parts.ranks.count,
                data_s=learned.data_s,
                step_s=learned.step_s,
            )
        )

    def _between(self) -> Ending | None:
        """Do what is wanted between two updates."""
        wanted = self._asks.look()
        self._progress()
        at = self._at
        if wanted.lr is not None:
            update = at.batch // self._config.gradient_accumulation_steps
            self._parts.step_size.change(wanted.lr, at.epoch, update)
        if wanted.save or wanted.stop or wanted.time_is_up:
            self._watch.look(at_all=True)
            self._save(NOW)
            self._learner.rest()
        if wanted.stop:
            raise self._asks.stopped or Stopped("stopped")
        if wanted.validate:
            self._measure(is_epoch=False)
            self._learner.rest()
        return "max hours" if wanted.time_is_up else None

    def _progress(self, *, at_all: bool = False) -> None:
        now_s = time.monotonic()
        if at_all or now_s - self._told_s >= PROGRESS_S:
            self._told_s = now_s
            done = self._at.epoch + self._at.batch / self._config.iterations_per_epoch
            self._listener.progress(round(done, 4), self._config.epochs, "epochs")

    # -- what follows an epoch ----------------------------------------------------------------

    def _settle(self) -> Ending | None:
        """Validate the finished epoch unless that is done, thin out checkpoints; return what ends training."""
        at, config, names = self._at, self._config, self._parts.names
        rows = history.read_history(names.history) if self._parts.ranks.is_first else ()
        row = next((row for row in rows if row.epoch == at.epoch), None)
        is_due = at.epoch % config.val_every == 0 or at.epoch == config.epochs
        if row is None and is_due and self._validate is not None:
            try:
                self._measure(is_epoch=True)
            except Stopped as stopped:
                self._asks.stopped = stopped
            rows = history.read_history(names.history)
            row = next((row for row in rows if row.epoch == at.epoch), None)
        score = math.nan if row is None or row.score is None else row.score
        waited = history.validations_since_best(row for row in rows if row.epoch <= at.epoch)
        score, since_best, stop = self._parts.ranks.told(
            [score, float(waited), float(self._asks.stopped is not None)]
        )
        if stop:
            raise self._asks.stopped or Stopped("stopped with the first process")
        self._parts.step_size.validated(None if math.isnan(score) else self._badness(score))
        if self._parts.ranks.is_first:
            checkpoints.thin_out(names, config.keep_checkpoints)
        self._listener.epoch_ended(at.epoch, at.step)
        self._progress(at_all=True)
        if at.epoch >= config.epochs:
            return "finished"
        if config.early_stop is not None and since_best >= config.early_stop:
            self._listener.note(f"no better validation for {int(since_best)} of them: early stop")
            return "early stop"
        return "stop after epoch" if self._asks.stop_after_epoch else None

    def _measure(self, *, is_epoch: bool) -> None:
        """Validate, in the first process; keep what was found where it is an epoch's."""
        parts, at, config = self._parts, self._at, self._config
        if self._validate is None or not parts.ranks.is_first:
            return
        epoch = at.epoch if is_epoch else at.epoch + 1
        self._listener.validating()
        try:
            values = measured(parts, self._validate, epoch, at.step, self._listener)
        finally:
            # How far the training is stands last, also when the user stops here.
            self._progress(at_all=True)
        is_best = False
        if is_epoch:
            rows = [row for row in history.read_history(parts.names.history) if row.epoch < epoch]
            metric = f"val/{config.best_metric}"
            score = history.smoothed_score(rows, values, metric, config.smoothing_window)
            row = history.HistoryRow(epoch, at.step, time.time(), values, score, config.low_is_best)
            history.append_row(parts.names.history, row)
            is_best = next(iter(history.best_first([*rows, row])), None) is row
            self._values = values
        self._listener.validated(epoch, at.step, values, is_best=is_best)

    def _badness(self, score: float | None) -> float | None:
        """Return a score such that lower is better."""
        return None if score is None else score if self._config.low_is_best else -score

    def _save(self, epoch: int | str) -> None:
        """Write a checkpoint; a full disk is told once and ends training the second time."""
        parts, at = self._parts, self._at
        if epoch == NOW and at.batch == 0 and (at.epoch == 0 or at.epoch in parts.names.epochs()):
            self._listener.note(
                "nothing was learned since the newest checkpoint" if at.epoch else "nothing to save yet"
            )
            return
        if not has_only_numbers(list(parts.network.parameters())):
            raise NotANumberError(
                f"weights are no numbers after step {at.step} (epoch {at.epoch})",
                calmer(self._config),
            )
        if not parts.ranks.is_first:
            return
        at.batch_parts = self._learner.batch_parts
        state = gathered(parts, at, within_epoch=epoch == NOW)
        try:
            files = checkpoints.save(parts.names, epoch, weights_to_use(parts), state)
        except CheckpointNotWrittenError as error:
            self._failed_saves += 1
            if self._failed_saves > 1 or self._asks.stopped is not None:
                raise
            self._listener.warning(f"{error}; training goes on, and ends if the next one fails too")
            return
        self._failed_saves = 0
        self._asks.saved()
        if epoch != NOW:
            checkpoints.remove(parts.names, NOW)
        self._listener.artefact(files.weights, "checkpoint")
