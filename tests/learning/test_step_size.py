"""Step sizes rise and fall as the configuration says; averages follow the weights."""

from __future__ import annotations

import math

import pytest
import torch

from cellmap_tui.learning.ema import AveragedWeights
from cellmap_tui.learning.step_size import StepSize
from tests.learning.training_parts import small_config


def rates(tmp_path, updates=4, **changes):
    changes = {"epochs": "5", "learning_rate": "1.0", "warmup_epochs": "1", **changes}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    size = StepSize(small_config(tmp_path, **changes), optimizer, updates)
    found = []
    for epoch in range(5):
        found += [size.apply(epoch, update) for update in range(updates)]
        assert optimizer.param_groups[0]["lr"] == found[-1]
        size.epoch_ended()
        size.validated(1.0 + epoch)
    return found


def test_a_cosine_rises_over_the_warm_up_and_falls_to_nothing(tmp_path):
    found = rates(tmp_path, scheduler="cosine")
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[12] == pytest.approx(0.5)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 15 / 16)))


def test_poly_falls_as_nnunet_has_it_and_keeps_a_share_that_is_asked_for(tmp_path):
    found = rates(tmp_path, scheduler="poly", warmup_epochs="0")
    assert found == pytest.approx([(1 - step / 20) ** 0.9 for step in range(20)])
    least = rates(tmp_path, scheduler="poly", warmup_epochs="0", scheduler_kwargs="{min_share=0.1,power=1}")
    assert least == pytest.approx([0.1 + 0.9 * (1 - step / 20) for step in range(20)])


def test_none_and_constant_stay_where_they_are_after_the_warm_up(tmp_path):
    for scheduler in ("none", "constant"):
        assert rates(tmp_path, scheduler=scheduler)[4:] == [1.0] * 16


@pytest.mark.parametrize(
    "name",
    [
        "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR",
        "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR", "ReduceLROnPlateau",
    ],
)  # fmt: skip
def test_each_scheduler_of_torch_needs_no_options_and_goes_epoch_by_epoch(tmp_path, name):
    found = rates(tmp_path, scheduler=name, warmup_epochs="0")
    assert all(len(set(found[start : start + 4])) == 1 for start in range(0, 20, 4))
    assert all(0 <= rate <= 1 for rate in found)


def test_a_scheduler_of_torch_gives_what_it_gives_by_itself(tmp_path):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    alone = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    expected = []
    for _ in range(5):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        alone.step()
    given = rates(tmp_path, scheduler="StepLR", scheduler_kwargs="{step_size=2,gamma=0.1}", warmup_epochs="0")
    assert given[::4] == expected
    warm = rates(tmp_path, scheduler="StepLR", scheduler_kwargs="{step_size=2,gamma=0.1}", warmup_epochs="1")
    assert warm[4::4] == expected[1:]
    assert warm[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_averages_are_the_decayed_sum_of_the_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    average = AveragedWeights(layer, 0.5)
    expected = 0.0
    for update, value in enumerate((1.0, 3.0, 2.0, 5.0)):
        layer.weight.data.fill_(value)
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * value
    assert float(average.state_dict()["weight"]) == pytest.approx(expected)
    with average.applied():
        assert float(layer.weight.detach()) == pytest.approx(expected)
    assert float(layer.weight.detach()) == 5.0


def test_averages_know_shared_weights_and_leave_buffers_as_they_are():
    first = torch.nn.Linear(2, 2)
    network = torch.nn.Sequential(first, torch.nn.BatchNorm1d(2), first)
    average = AveragedWeights(network, 0.9)
    network(torch.rand(4, 2))
    state = average.state_dict()
    assert state.keys() == network.state_dict().keys()
    assert state["0.weight"] is not None
    assert torch.equal(state["0.weight"], state["2.weight"])
    assert torch.equal(state["1.running_mean"], network[1].running_mean)
