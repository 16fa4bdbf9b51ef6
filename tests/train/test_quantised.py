"""Training with quantised weights: forward passes take them, the optimiser steps the copy in full precision."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from bench.quantisers import Quantiser, Ternary, Uniform
from bench.train import artifacts
from bench.train import device as devices
from bench.train.engine import Training
from bench.train.progress import Stopped
from tests.operations import READING, Operations
from tests.told import Told
from tests.train.tiny import CPU, job, runs_of, train

UNIFORM, TERNARY = Uniform(ends="quantised", bits=2, bucket=32), Ternary(ends="full", threshold=0.7)
QUANTISERS = [UNIFORM, TERNARY]


@pytest.fixture
def runs(project):
    return runs_of(project)


def levels(quantiser: Quantiser, weights: dict[str, Tensor]) -> dict[str, int]:
    """The most that a bucket has, of each parameter that is quantised."""
    network = {name: own for name, own in weights.items() if "running_" not in name}
    bucket = quantiser.bucket if isinstance(quantiser, Uniform) else 10**9
    return {n: max(len(b.unique()) for b in network[n].flatten().split(bucket)) for n in quantiser.chosen(network)}


@pytest.mark.parametrize("quantiser", QUANTISERS)
def test_a_step_is_that_of_the_gradient_at_the_quantised_weights(runs, tmp_path, quantiser) -> None:
    training = Training(job(runs["vanilla"], tmp_path, weights=(quantiser,)))
    (network,), twin = training.job.networks, Training(job(runs["vanilla"], tmp_path)).job.networks[0].double()
    own = dict(twin.named_parameters())
    training.begin(0, 1)
    training.mode(training=True)
    images, labels, _ = training.job.train.batch(torch.arange(10))
    training.lr.fill_(0.0625)  # exact in float32, in which rates are
    # By hand: the gradient with respect to what the weights are represented by, and one step of plain arithmetic.
    leaves = {name: quantiser.quantise(own[name].detach()).requires_grad_() for name in quantiser.chosen(own)}
    logits = functional_call(twin.train(), leaves, (images,)).logits
    gradients = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, labels), list((own | leaves).values()), allow_unused=True
    )
    optimizer = training.job.stage.optimizer
    training.update(
        training.job.networks,
        training.optimizers,
        lambda network: training._forward(network, images),
        lambda k, outputs: torch.nn.functional.cross_entropy(outputs[k].logits, labels),
    )
    for (name, master), gradient in zip(own.items(), gradients, strict=True):
        decayed = gradient + optimizer.weight_decay * master
        stepped = decayed * (1 + optimizer.momentum if optimizer.nesterov else 1)
        found = network.get_parameter(name)
        torch.testing.assert_close(found, master - 0.0625 * stepped, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("quantiser", QUANTISERS)
def test_what_is_deployed_has_few_levels_and_the_logits_are_its_own(runs, tmp_path, quantiser) -> None:
    training = Training(job(runs["vanilla"], tmp_path, weights=(quantiser,)))
    for _ in training.one_epoch(Told(), lambda seconds: False):
        pass
    training.save()
    kept = artifacts.read(tmp_path / "checkpoint.safetensors")
    copies = {name.removeprefix("0."): own for name, own in kept.items() if name.startswith("0.")}
    tensors = training.finish().tensors
    weights, most = artifacts.weights(tensors), 4 if quantiser is UNIFORM else 3
    assert weights.keys() == copies.keys() == training.job.networks[0].state_dict().keys()
    assert max(levels(quantiser, weights).values()) <= most < max(levels(quantiser, copies).values())
    chosen = quantiser.chosen(dict(training.job.networks[0].named_parameters()))
    assert all(torch.equal(weights[name], quantiser.quantise(copies[name])) for name in chosen)
    assert all(torch.equal(weights[name], copies[name]) for name in weights.keys() - {*chosen})
    plain = job(runs["vanilla"], tmp_path).networks[0].double()
    plain.load_state_dict(weights)
    with torch.no_grad():
        images, *_ = training.job.test.batch(torch.arange(60))
        assert torch.equal(plain.eval()(images).logits.half(), artifacts.logits(tensors))


@pytest.mark.parametrize("leaf", [None, torch.bfloat16])
def test_a_resumed_run_is_bit_identical(runs, tmp_path, leaf, monkeypatch) -> None:
    monkeypatch.setattr(devices, "leaf_dtype", lambda reached, device: leaf)
    more: dict[str, Any] = {"weights": (UNIFORM,), "precision": "bfloat16" if leaf else "float32"}
    whole, done = train(job(runs["vanilla"], tmp_path / "whole", **more)), []
    with pytest.raises(Stopped):
        train(job(runs["vanilla"], tmp_path, **more), out_of_time=lambda seconds: bool(seconds) and not done.append(1))
    rest = train(job(runs["vanilla"], tmp_path, **more))
    assert [e["networks"] for e in rest.curve] == [e["networks"] for e in whole.curve]
    assert all(torch.equal(rest.tensors[name], own) for name, own in whole.tensors.items())


def test_rounded_leaves_are_those_of_the_quantised_weights(runs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(devices, "leaf_dtype", lambda reached, device: torch.bfloat16)
    training = Training(job(runs["vanilla"], tmp_path, precision="bfloat16", weights=(UNIFORM,)))
    (leaves,) = training.leaves.values()
    assert {leaf.dtype for leaf in leaves.tensors} == {torch.bfloat16, torch.float32}
    for name, leaf in leaves.named.items():
        master = training.job.networks[0].get_parameter(name)
        assert torch.equal(leaf, UNIFORM.quantise(master.detach()).to(leaf.dtype)), name


@pytest.mark.parametrize("quantiser", QUANTISERS)
@pytest.mark.usefixtures("as_on_a_device")
def test_no_value_of_a_step_comes_back_to_the_host(runs, tmp_path, quantiser) -> None:
    training = Training(job(runs["vanilla"], tmp_path, weights=(quantiser,)))
    training.begin(0, 1)
    with Operations() as operations:
        training.train_loop.run(1)
    assert operations.names & READING == set()
    # What a captured step changes is known, so that it can be put back.
    assert {id(leaf) for leaves in training.leaves.values() for leaf in leaves.tensors} <= {*map(id, training.state())}


def test_of_a_group_only_the_network_that_says_so(runs, tmp_path) -> None:
    training = Training(job(runs["dml"], tmp_path, weights=(None, TERNARY)))
    first, second = training.job.networks
    assert list(training.leaves) == [second]
    for _ in training.one_epoch(Told(), lambda seconds: False):
        pass
    tensors = training.finish().tensors
    assert max(levels(TERNARY, artifacts.weights(tensors, 1)).values()) == 3
    assert max(levels(TERNARY, artifacts.weights(tensors, 0)).values()) > 3
    assert training.job.device == CPU
    assert first is not second
