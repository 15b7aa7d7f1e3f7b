from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from torch import nn

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.learning.build_network import build_network
from cellmap_tui.learning.model_card import ModelCard
from cellmap_tui.learning.weights import head_layers, init_from, init_from_checkpoint, lay_in, read_weights

torch.set_num_threads(1)


def card_of(columns, **changes):
    told = ModelCard(
        architecture="resencunet",
        columns=columns,
        dimensions=2,
        shape=(1, 32, 32),
        voxel_size_nm=(8.0, 8.0, 8.0),
        model_kwargs={"size": "s", "features": 4},
    )
    return replace(told, **changes)


def saved(tmp_path, card, **beside):
    network = build_network(card)
    path = tmp_path / "net_1.pth"
    torch.save(network.state_dict() if not beside else {"state_dict": network.state_dict(), **beside}, path)
    return network, path


def test_weights_of_the_same_network_are_loaded_whole(tmp_path):
    card = card_of(("a", "b"))
    before, path = saved(tmp_path, card)
    network = build_network(card)
    report = init_from_checkpoint(network, card, path, card)
    assert report.is_complete
    assert report.loaded_share == 1
    assert all(torch.equal(part, before.state_dict()[name]) for name, part in network.state_dict().items())
    assert len(list(report.lines())) == 1


def test_a_head_of_another_width_keeps_the_rows_of_shared_columns(tmp_path):
    old, new = card_of(("mito", "er", "nuc")), card_of(("nuc", "ld", "mito", "pm"))
    before, path = saved(tmp_path, old)
    network = build_network(new)
    fresh = {name: part.clone() for name, part in network.state_dict().items()}
    report = init_from_checkpoint(network, new, path, old)
    heads = head_layers(new)
    assert heads
    assert {layer.name for layer in report.of("rows")} == heads
    assert all(layer.rows == 2 for layer in report.of("rows"))
    for name in heads:
        mine, theirs = network.state_dict()[name], before.state_dict()[name]
        assert torch.equal(mine[0], theirs[2])
        assert torch.equal(mine[2], theirs[0])
        assert torch.equal(mine[1], fresh[name][1])
    assert "2 of 4 output channels" in "\n".join(report.lines())


def test_columns_in_another_order_take_their_rows_with_them(tmp_path):
    old, new = card_of(("a", "b", "c", "d")), card_of(("d", "c", "b", "a"))
    before, path = saved(tmp_path, old)
    network = build_network(new)
    report = init_from_checkpoint(network, new, path, old)
    assert report.loaded_share == 1
    # Four columns, and four features at full resolution: only heads are laid in row by row.
    assert {layer.name for layer in report.of("rows")} == head_layers(new)
    for name in head_layers(new):
        assert torch.equal(network.state_dict()[name], before.state_dict()[name].flip(0))


def test_a_head_of_another_width_starts_fresh_where_the_columns_are_not_known(tmp_path):
    _, path = saved(tmp_path, card_of(("a", "b")))
    network = build_network(card_of(("a", "b", "c")))
    report = init_from(network, path)
    assert {layer.name for layer in report.of("other shape")} == head_layers(card_of(("a",)))
    assert 0.9 < report.loaded_share < 1


def test_layers_that_are_missing_or_too_many_are_named(tmp_path):
    card = card_of(("a",))
    network, path = saved(tmp_path, card)
    weights = {name: part for name, part in network.state_dict().items() if "stem" not in name}
    torch.save({**weights, "extra.bias": torch.zeros(3)}, path)
    report = init_from(build_network(card), path)
    text = "\n".join(report.lines(most=100))
    assert "encoder.stem.convs.0.conv.weight: not in the file; starts fresh" in text
    assert "extra.bias: only in the file; not used" in text
    assert len(list(report.lines(most=2))) == 4


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(nn.Linear(3, 3).state_dict(), path)
    with pytest.raises(DataError, match="another network"):
        init_from(build_network(card_of(("a",))), path)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "network_weights"])
def test_weights_inside_a_larger_file_and_under_wrappers_names_are_found(tmp_path, key):
    card = card_of(("a",))
    network = build_network(card)
    wrapped = {f"module._orig_mod.{name}": part for name, part in network.state_dict().items()}
    torch.save({key: wrapped, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "x.pth")
    assert init_from(build_network(card), tmp_path / "x.pth").is_complete


def test_averaged_weights_are_taken_where_there_are_any_unless_told_otherwise(tmp_path):
    path = tmp_path / "x.pth"
    averaged = {"n_averaged": torch.tensor(3), "module.weight": torch.ones(1, 1), "module.bias": torch.ones(1)}
    torch.save({"state_dict": nn.Linear(1, 1).state_dict(), "ema": averaged}, path)
    assert read_weights(path)["weight"].item() == 1
    assert read_weights(path, use_ema=False)["weight"].item() != 1
    network = nn.Linear(1, 1)
    assert lay_in(network, read_weights(path)).loaded_share == 1
    assert network.bias.item() == 1


def test_a_file_cut_short_is_told_from_one_that_is_not_there(tmp_path):
    _, path = saved(tmp_path, card_of(("a",)))
    data = path.read_bytes()
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="cut short"):
            read_weights(path)
    path.unlink()
    with pytest.raises(MissingDataError):
        read_weights(path)
    with pytest.raises(DataError, match="folder"):
        read_weights(tmp_path)


def test_a_file_with_a_changed_byte_is_refused_though_torch_reads_it(tmp_path):
    _, path = saved(tmp_path, card_of(("a",)))
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda one: one.file_size)
        with archive.open(part) as data:
            begin = path.read_bytes().index(data.read())
    changed = bytearray(path.read_bytes())
    changed[begin + part.file_size // 2] ^= 255
    path.write_bytes(changed)

    torch.load(path, weights_only=True)
    with pytest.raises(DataError, match="is damaged"):
        read_weights(path)


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        _, path = saved(tmp_path, card_of(("a",)))
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_weights(path)


def test_a_text_is_no_checkpoint_and_no_key_of_torch_is_told(tmp_path):
    path = tmp_path / "net_1.pth"
    path.write_text("hello world\n")
    with pytest.raises(DataError, match="no checkpoint") as told:
        read_weights(path)
    assert told.value.message.endswith("no checkpoint")


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_file_with_code_or_a_whole_module_in_it_is_not_run(tmp_path, capsys):
    for name, content in (("evil.pth", {"x": Evil()}), ("module.pth", nn.Linear(1, 1))):
        torch.save(content, tmp_path / name)
        with pytest.raises(DataError, match="Python objects"):
            read_weights(tmp_path / name)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(DataError):
        read_weights(tmp_path / "plain.pth")
    assert "code ran" not in capsys.readouterr().out


def test_a_file_without_weights_says_so(tmp_path):
    for content in ({}, [1, 2], {"epoch": 3}, 7):
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(DataError, match="no weights"):
            read_weights(tmp_path / "x.pth")
