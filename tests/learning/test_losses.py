from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.batch import PatchBatch
from cellmap_tui.learning.loss_build import MaskedLoss, build_loss, loss_spec
from cellmap_tui.learning.loss_criterion import CriterionLoss, made_criterion
from cellmap_tui.learning.loss_labels import nearest_voxels
from cellmap_tui.learning.losses import (
    KINDS,
    CodedLabels,
    LossSpec,
    labels_of,
    masked_loss,
    pos_weight_of,
)
from tests.learning.config_parts import read

torch.set_num_threads(1)
WAYS = ("codes", "states", "last")


def problem(seed=0, columns=5, shape=(2, 6, 8, 10), codes=7):
    random = torch.Generator().manual_seed(seed)
    book = torch.randint(0, 3, (codes, columns), generator=random).to(torch.uint8)
    book[book == 2] = 255
    book[0] = 255
    numbers = torch.randint(0, codes, shape, generator=random).to(torch.uint8)
    logits = torch.randn(shape[0], columns, *shape[1:], generator=random) * 3
    return logits.requires_grad_(), numbers, book


def states_of(codes, book):
    return book[codes.long()].movedim(-1, 1)


def reference(logits, states, spec, pos_weight=None):
    """Return the loss as its definition has it, in double precision."""
    x = logits.double()
    known, target = states != 255, (states == 1).double()
    axes = (0, *range(2, x.ndim))
    n, present = known.sum(axes), (target * known).sum(axes)
    weight = None if pos_weight is None else pos_weight.double().view(-1, *[1] * (x.ndim - 2))
    entropy = functional.binary_cross_entropy_with_logits(x, target, pos_weight=weight, reduction="none")
    p = x.sigmoid()
    if spec.kind == "focal":
        entropy = entropy * torch.where(target > 0, 1 - p, p) ** spec.gamma
    entropy = (entropy * known).sum(axes) / n.clamp(min=1)
    overlap, predicted = (p * target * known).sum(axes), (p * known).sum(axes)
    a, b = (spec.alpha, spec.beta) if spec.kind == "tversky" else (0.5, 0.5)
    smooth = spec.smooth / 2
    ratio = 1 - (overlap + smooth) / (overlap + a * (predicted - overlap) + b * (present - overlap) + smooth)

    def mean(values, counted):
        return values[counted].mean() if counted.any() else values.sum() * 0

    if spec.kind in ("bce", "focal"):
        return mean(entropy, n > 0)
    if spec.kind == "dice_bce":
        return spec.bce_weight * mean(entropy, n > 0) + spec.dice_weight * mean(ratio, present > 0)
    return mean(torch.where(present > 0, ratio, predicted / n.clamp(min=1)), n > 0)


def laid(way, logits, codes, book):
    if way == "states":
        return logits, states_of(codes, book)
    if way == "last":
        last = torch.channels_last if logits.ndim == 4 else torch.channels_last_3d
        logits = logits.detach().contiguous(memory_format=last).requires_grad_()
    return logits, CodedLabels(codes, book)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_and_its_gradient_are_those_of_its_definition(kind, way):
    for seed, shape in enumerate([(2, 6, 8, 10), (3, 16, 12), (1, 4, 4, 4)]):
        logits, codes, book = problem(seed, shape=shape)
        weight = torch.rand(5) * 3 if kind == "bce" else None
        expected = reference(logits, states_of(codes, book), LossSpec(kind), weight)
        (slope,) = torch.autograd.grad(expected, logits)
        given_logits, labels = laid(way, logits, codes, book)
        value = masked_loss(given_logits, labels, LossSpec(kind), pos_weight=weight)
        (ours,) = torch.autograd.grad(value.loss, given_logits)
        torch.testing.assert_close(value.loss.double(), expected, rtol=2e-6, atol=1e-7)
        torch.testing.assert_close(ours, slope, rtol=1e-4, atol=float(slope.abs().max()) * 1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from(KINDS), st.sampled_from(WAYS))
def test_an_unknown_voxel_carries_no_gradient_and_does_not_change_the_loss(seed, kind, way):
    logits, codes, book = problem(seed, columns=3, shape=(2, 4, 5, 6))
    unknown = states_of(codes, book) == 255
    with torch.no_grad():
        other = torch.where(unknown, torch.tensor(float("nan")), logits)
    results = []
    for values in (logits, other.requires_grad_()):
        given_logits, labels = laid(way, values, codes, book)
        value = masked_loss(given_logits, labels, LossSpec(kind))
        (slope,) = torch.autograd.grad(value.loss, given_logits)
        assert (slope[unknown] == 0).all()
        assert slope.isfinite().all()
        results.append((value.loss, slope))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_more_unknown_classes_do_not_make_the_loss_of_the_others_smaller():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    half, full = torch.zeros(1, 2, 4, 4, dtype=torch.uint8), torch.zeros(1, 2, 4, 4, dtype=torch.uint8)
    half[:, 1] = 255
    for states in (half, full):
        assert masked_loss(logits, states, LossSpec("bce")).loss.item() == pytest.approx(np.log(2), rel=1e-6)


def test_where_nothing_is_known_the_loss_is_nought_and_has_a_gradient_of_nought():
    for kind in KINDS:
        logits = torch.randn(1, 2, 4, 4, requires_grad=True)
        value = masked_loss(logits, torch.full((1, 2, 4, 4), 255, dtype=torch.uint8), LossSpec(kind))
        value.loss.backward()
        assert value.loss.item() == 0
        assert (logits.grad == 0).all()
        assert value.by_column.isnan().all()


def test_a_class_that_is_annotated_and_absent_is_pushed_down():
    for kind in KINDS:
        logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
        masked_loss(logits, torch.zeros(1, 1, 16, 16, dtype=torch.uint8), LossSpec(kind)).loss.backward()
        assert (logits.grad > 1e-4).all(), kind


def test_huge_logits_give_finite_losses_and_gradients():
    for kind in KINDS:
        logits = (torch.tensor([-1e4, 1e4, -80.0, 80.0]).repeat(4).view(1, 1, 4, 4)).requires_grad_()
        states = torch.tensor([0, 0, 1, 1], dtype=torch.uint8).repeat_interleave(4).view(1, 1, 4, 4)
        value = masked_loss(logits, states, LossSpec(kind))
        value.loss.backward()
        assert value.loss.isfinite()
        assert logits.grad.isfinite().all()


def test_a_batch_of_crops_with_books_of_their_own_is_read_by_its_first_codes():
    book = torch.tensor([[255, 255], [1, 0], [255, 255], [0, 1]], dtype=torch.uint8)
    codes = torch.randint(0, 2, (2, 1, 6, 6)).to(torch.uint8)
    batch = PatchBatch(
        em={"raw": torch.zeros(2, 1, 6, 6, dtype=torch.uint8)},
        em_valid={"raw": None},
        codes=codes,
        first_code=torch.tensor([0, 2]),
        book=book,
        columns=("a", "b"),
        epoch=0,
    )
    logits = torch.randn(2, 2, 6, 6)
    from_states = masked_loss(logits, batch.states)
    from_batch = masked_loss(logits, batch)
    torch.testing.assert_close(from_batch.loss, from_states.loss)
    assert from_batch.known.tolist() == (batch.states != 255).sum(dim=(0, 2, 3)).tolist()


def test_voxels_beyond_the_em_count_as_unknown_if_asked():
    valid = torch.ones(1, 4, 4, 4, dtype=torch.bool)
    valid[:, :2] = False
    batch = PatchBatch(
        em={"raw": torch.zeros(1, 4, 4, 4, dtype=torch.uint8)},
        em_valid={"raw": valid},
        codes=torch.ones(1, 4, 4, 4, dtype=torch.uint8),
        first_code=torch.tensor([0]),
        book=torch.tensor([[255], [1]], dtype=torch.uint8),
        columns=("a",),
        epoch=0,
    )
    logits = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    value = masked_loss(logits, batch)
    value.loss.backward()
    assert value.known.tolist() == [32]
    assert (logits.grad[:, :, :2] == 0).all()
    assert masked_loss(logits, batch, ignore_padding=False).known.tolist() == [64]


def test_coarser_scales_have_masks_of_their_own_and_half_the_weight_each():
    logits, codes, book = problem(3, shape=(2, 8, 8, 8))
    coarse = torch.randn(2, 5, 4, 4, 4, requires_grad=True)
    labels = CodedLabels(codes, book)
    both = masked_loss([logits, coarse], labels)
    fine_states, coarse_states = states_of(codes, book), states_of(codes[:, 1::2, 1::2, 1::2], book)
    expected = (reference(logits, fine_states, LossSpec()) + 0.5 * reference(coarse, coarse_states, LossSpec())) / 1.5
    torch.testing.assert_close(both.loss.double(), expected, rtol=2e-6, atol=0)
    (slope,) = torch.autograd.grad(both.loss, coarse)
    assert (slope[coarse_states == 255] == 0).all()
    torch.testing.assert_close(both.by_column, masked_loss(logits, labels).by_column)


@given(st.integers(1, 17), st.integers(1, 17))
def test_the_nearest_voxel_is_the_one_at_the_middle(have, want):
    taken = nearest_voxels(torch.arange(have), (want,))
    middles = (np.arange(want) + 0.5) * have / want
    assert (np.abs(taken.numpy() + 0.5 - middles) <= 0.5 + 1e-9).all()


def test_half_precision_logits_get_gradients_of_their_kind_near_those_of_full():
    logits, codes, book = problem(5)
    half = logits.detach().bfloat16().requires_grad_()
    full = half.detach().float().requires_grad_()
    for values in (half, full):
        masked_loss(values, CodedLabels(codes, book)).loss.backward()
    assert half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(half.grad.float(), full.grad, rtol=1e-2, atol=1e-5)


def test_the_pieces_of_a_large_patch_add_up(monkeypatch):
    from cellmap_tui.learning import loss_sums

    logits, codes, book = problem(6, shape=(2, 9, 11, 13))
    whole = masked_loss(logits, CodedLabels(codes, book))
    (slope,) = torch.autograd.grad(whole.loss, logits)
    monkeypatch.setattr(loss_sums, "CPU_PIECE", 64)
    pieces = masked_loss(logits, CodedLabels(codes, book))
    (other,) = torch.autograd.grad(pieces.loss, logits)
    torch.testing.assert_close(pieces.loss, whole.loss)
    torch.testing.assert_close(other, slope)


def test_sums_of_two_processes_give_the_loss_of_the_joined_batch():
    logits, codes, book = problem(7, shape=(4, 6, 6, 6))
    joined = masked_loss(logits, CodedLabels(codes, book))
    (expected,) = torch.autograd.grad(joined.loss, logits)
    halves = [masked_loss(logits[at : at + 2], CodedLabels(codes[at : at + 2], book)).sums for at in (0, 2)]
    for rank, at in enumerate((0, 2)):

        def reduce(sums, other=halves[1 - rank]):
            return sums + other

        part = logits[at : at + 2].detach().requires_grad_()
        value = masked_loss(part, CodedLabels(codes[at : at + 2], book), reduce=reduce)
        value.loss.backward()
        torch.testing.assert_close(value.loss, joined.loss)
        torch.testing.assert_close(part.grad, expected[at : at + 2])


def test_the_weight_of_present_voxels_is_bounded_and_one_for_what_never_occurs():
    counts = np.array([[100, 300, 5], [1, 10**9, 0], [10**9, 1, 0], [0, 10**6, 0], [0, 0, 7]])
    assert pos_weight_of(counts).tolist() == pytest.approx([3, 50, 1 / 50, 1, 1])
    assert pos_weight_of(np.stack([counts, counts])).tolist() == pytest.approx([3, 50, 1 / 50, 1, 1])


def test_a_loss_follows_from_a_configuration(tmp_path):
    loss = build_loss(read(tmp_path, 'loss = "tversky"\ncriterion_kwargs = { alpha = 0.4 }').checked())
    assert isinstance(loss, MaskedLoss)
    assert (loss.spec.kind, loss.spec.alpha, loss.spec.beta) == ("tversky", 0.4, 0.7)
    weight = torch.tensor([2.0, 3.0])
    assert build_loss(read(tmp_path, "weight_loss = true").checked(), pos_weight=weight).pos_weight is weight
    assert build_loss(read(tmp_path, "weight_loss = false").checked(), pos_weight=weight).pos_weight is None


def test_options_of_monai_classes_are_understood():
    assert loss_spec("dice_bce", {"lambda_dice": 2, "sigmoid": True, "include_background": False}).dice_weight == 2


def test_an_unknown_or_wrong_option_of_a_loss_names_the_nearest():
    with pytest.raises(RequestError, match="gamma"):
        loss_spec("focal", {"gama": 2})
    with pytest.raises(RequestError, match="number"):
        loss_spec("focal", {"gamma": "high"})
    with pytest.raises(RequestError, match="did you mean 'dice'"):
        loss_spec("dise", {})


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "CrossEntropyLoss"])
def test_a_loss_of_torch_by_name_never_counts_unknown_voxels(tmp_path, name):
    logits, codes, book = problem(8, columns=3)
    loss = build_loss(read(tmp_path, f'criterion = "{name}"').checked())
    assert isinstance(loss, CriterionLoss)
    value = loss(logits, CodedLabels(codes, book))
    (slope,) = torch.autograd.grad(value.loss, logits)
    assert value.loss.isfinite()
    assert (slope[states_of(codes, book) == 255] == 0).all()
    assert slope.abs().max() > 0


def test_the_mean_of_an_elementwise_criterion_is_over_known_voxels():
    logits, codes, book = problem(9)
    value = CriterionLoss(made_criterion(torch.nn.BCEWithLogitsLoss(), {}, None))(logits, CodedLabels(codes, book))
    torch.testing.assert_close(value.loss, masked_loss(logits, CodedLabels(codes, book), LossSpec("bce")).loss)


def test_a_criterion_that_answers_one_number_sees_unknown_voxels_as_settled():
    def criterion(logits, target):
        return ((logits.sigmoid() - target) ** 2).mean()

    logits, codes, book = problem(10)
    value = CriterionLoss(criterion)(logits, CodedLabels(codes, book))
    (slope,) = torch.autograd.grad(value.loss, logits)
    assert (slope[states_of(codes, book) == 255] == 0).all()


def test_a_criterion_of_another_shape_or_kind_is_refused():
    logits, codes, book = problem(11)
    with pytest.raises(RequestError, match="answers"):
        CriterionLoss(lambda x, t: x[:, :, 0])(logits, CodedLabels(codes, book))
    with pytest.raises(RequestError, match="criterion_kwargs"):
        made_criterion("HuberLoss", {"delt": 1}, None)


def test_logits_of_another_shape_are_no_silent_broadcast():
    _, codes, book = problem(12)
    with pytest.raises(ValueError, match="logits"):
        masked_loss(torch.zeros(2, 4, 6, 8, 10), CodedLabels(codes, book))


def test_labels_of_a_flat_batch_lose_the_axis():
    batch = PatchBatch(
        em={"raw": torch.zeros(2, 6, 1, 8, dtype=torch.uint8)},
        em_valid={"raw": None},
        codes=torch.zeros(2, 6, 1, 8, dtype=torch.uint8),
        first_code=torch.tensor([0, 0]),
        book=torch.tensor([[255]], dtype=torch.uint8),
        columns=("a",),
        epoch=0,
    )
    assert labels_of(batch).shape == (2, 6, 8)


RANK = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel

from cellmap_tui.learning.losses import CodedLabels, masked_loss, summed_over_ranks

torch.set_num_threads(1)
rank, ranks, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
data = torch.load(f"{place}/data.pt", weights_only=True)
network = torch.nn.Conv2d(1, 3, 3, padding=1)
network.load_state_dict(data["weights"])
mine = slice(rank * 4 // ranks, (rank + 1) * 4 // ranks)
reduce = None
if ranks > 1:
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=ranks)
    network, reduce = DistributedDataParallel(network), summed_over_ranks
optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
for step in range(8):
    optimizer.zero_grad()
    labels = CodedLabels(data["codes"][step, mine], data["book"])
    masked_loss(network(data["em"][step, mine]), labels, reduce=reduce).loss.backward()
    optimizer.step()
weights = {name.removeprefix("module."): part for name, part in network.state_dict().items()}
torch.save(weights, f"{place}/{ranks}_{rank}.pt")
if ranks > 1:
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    torch.manual_seed(0)
    book = torch.tensor([[255] * 3, [1, 0, 255], [0, 1, 0], [255, 255, 1]], dtype=torch.uint8)
    codes = torch.randint(0, 4, (8, 4, 12, 12)).to(torch.uint8)
    codes[:, 2:] %= 2  # what is known differs between the processes
    data = {
        "weights": torch.nn.Conv2d(1, 3, 3, padding=1).state_dict(),
        "em": torch.rand(8, 4, 1, 12, 12),
        "codes": codes,
        "book": book,
    }
    torch.save(data, tmp_path / "data.pt")
    calls = [[0, 1], [0, 2], [1, 2]]
    running = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(ranks), str(tmp_path)]) for rank, ranks in calls
    ]
    assert [process.wait(timeout=600) for process in running] == [0, 0, 0]
    alone, *both = (torch.load(tmp_path / f"{ranks}_{rank}.pt", weights_only=True) for rank, ranks in calls)
    for weights in both:
        for name, part in weights.items():
            torch.testing.assert_close(part, alone[name], rtol=0, atol=1e-6)
