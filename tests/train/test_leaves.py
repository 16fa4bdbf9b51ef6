"""Weights rounded once a step, with masters beside them: the path that CUDA takes, on the CPU."""

import pytest
import torch

from bench.networks.small import MLP
from bench.train import artifacts
from bench.train import device as devices
from bench.train.engine import Training
from bench.train.leaves import LeafWeights
from bench.train.progress import Stopped
from tests.told import Told
from tests.train.tiny import CPU, job, runs_of, train


@pytest.fixture
def runs(project):
    return runs_of(project)


def with_leaves(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setattr(devices, "leaf_dtype", lambda reached, device: dtype)


def same(one, other) -> bool:
    tensors = all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    return tensors and [e["networks"] for e in one.curve] == [e["networks"] for e in other.curve]


def test_only_bfloat16_on_cuda_has_them() -> None:
    cuda = torch.device("cuda")
    assert devices.leaf_dtype("bfloat16", cuda) is torch.bfloat16
    assert [devices.leaf_dtype(p, cuda) for p in ("float32", "float64")] == [None, None]
    assert devices.leaf_dtype("bfloat16", CPU) is None


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
def test_leaves_of_the_masters_type_change_no_bit(runs, tmp_path, row, monkeypatch) -> None:
    plain = train(job(runs[row], tmp_path / "plain", precision="float32"))
    with_leaves(monkeypatch, torch.float32)
    assert same(train(job(runs[row], tmp_path / "leaves", precision="float32")), plain)


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
def test_rounded_once_is_as_autocast_rounds_each_time(runs, tmp_path, row, monkeypatch) -> None:
    rounded = train(job(runs[row], tmp_path / "autocast", precision="bfloat16"))
    with_leaves(monkeypatch, torch.bfloat16)
    leaves = train(job(runs[row], tmp_path / "leaves", precision="bfloat16"))
    for name, value in rounded.tensors.items():
        torch.testing.assert_close(leaves.tensors[name], value, rtol=1e-2, atol=1e-3, msg=name)


def test_masters_are_what_is_kept(runs, tmp_path, monkeypatch) -> None:
    with_leaves(monkeypatch, torch.bfloat16)
    training = Training(job(runs["vanilla"], tmp_path, precision="bfloat16"))
    for _ in training.one_epoch(Told(), lambda seconds: False):
        pass
    training.save()
    (leaves,) = training.leaves.values()
    names = [*leaves.named]
    for kept in (artifacts.weights(training.finish().tensors), _checkpoint(tmp_path)):
        assert {value.dtype for value in kept.values()} == {torch.float32}
        assert kept.keys() == training.job.networks[0].state_dict().keys()
        # They say more than their leaves do, which are these, rounded.
        for name in names:
            rounded = kept[name].to(torch.bfloat16)
            assert torch.equal(rounded, leaves.named[name])
            assert not torch.equal(rounded.float(), kept[name])


def _checkpoint(folder) -> dict[str, torch.Tensor]:
    tensors = artifacts.read(folder / "checkpoint.safetensors")
    return {name.removeprefix("0."): value for name, value in tensors.items() if name.startswith("0.")}


@pytest.mark.parametrize("stop_before", [1, 3])
def test_a_resumed_run_is_bit_identical(runs, tmp_path, stop_before, monkeypatch) -> None:
    with_leaves(monkeypatch, torch.bfloat16)
    whole, done = train(job(runs["vanilla"], tmp_path / "whole", precision="bfloat16")), []
    with pytest.raises(Stopped):
        train(
            job(runs["vanilla"], tmp_path, precision="bfloat16"),
            Told(after=done.append),
            out_of_time=lambda seconds: len(done) == stop_before,
        )
    assert same(train(job(runs["vanilla"], tmp_path, precision="bfloat16")), whole)


def test_what_a_warm_up_changes_is_all_that_a_step_changes(runs, tmp_path, monkeypatch) -> None:
    with_leaves(monkeypatch, torch.bfloat16)
    training = Training(job(runs["vanilla"], tmp_path, precision="bfloat16"))
    changing = {id(tensor) for tensor in training.state()}
    assert {id(leaf) for leaves in training.leaves.values() for leaf in leaves.tensors} <= changing


def test_a_masters_own_gradient_counts_too() -> None:
    network = MLP(hidden=3).build(2, 1, 2).double()
    leaves = LeafWeights(network, torch.float64)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    leaves.attach(optimizer)
    before, images = network.linear.weight.detach().clone(), torch.ones(1, 1, 2, 2, dtype=torch.float64)
    hidden = network(images).features["hidden"].detach()
    (leaves.forward(images).logits.sum() + network.linear.weight.sum()).backward()
    optimizer.step()
    torch.testing.assert_close(before - network.linear.weight.detach(), (hidden + 1).expand(2, 3))
    assert all(torch.equal(leaf, master) for leaf, master in zip(leaves.tensors, leaves.masters, strict=True))
    assert all(leaf.grad is None for leaf in leaves.tensors)
