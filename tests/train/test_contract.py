"""What a method may have of its own, as the engine carries it out: parts, draws, indices, a hook after the step."""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.build import make_parts
from bench.methods.base import Method
from bench.methods.kd import KD
from bench.rng import generator
from bench.train.engine import Training
from bench.train.progress import Stopped
from tests.operations import READING, Operations
from tests.told import Told
from tests.train.plain import assert_same_weights, batches, descend, plain_loop, plain_optimizer
from tests.train.tiny import CPU, images, job, runs_of, train


@dataclass(frozen=True)
class Everything(Method):
    """A term for each thing that a method may have."""

    name: ClassVar[str] = "everything"

    def parts(self, setup):
        parts = nn.Module()
        parts.layer = nn.Linear(setup.classes, setup.classes)
        parts.average = copy.deepcopy(setup.students[0]).requires_grad_(False).eval()
        parts.register_buffer("memory", torch.zeros(len(setup.labels), setup.classes))
        parts.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        return parts

    def draws(self, setup, generator):
        n = len(setup.labels)
        return {"weight": generator.random(n), "other": generator.integers(0, n, n)}

    def loss(self, k, batch, outputs):
        parts, logits = outputs.parts, outputs.students[k].logits
        mirrored = outputs.forward(outputs.networks[k], batch.images.flip(3)).logits
        with torch.no_grad():
            average = outputs.forward(parts.average, batch.images).logits
        weight = batch.draws["weight"][batch.indices]
        remembered = parts.memory[batch.draws["other"][batch.indices]]
        return {
            "ce": functional.cross_entropy(parts.layer(logits), batch.labels),
            "mirrored": (weight[:, None] * (mirrored - logits).square()).mean(),
            "average": (average - logits).square().mean(),
            "memory": (1 - batch.progress) * (remembered - logits).square().mean(),
        }

    def after_step(self, batch, outputs):
        assert not torch.is_grad_enabled()
        parts = outputs.parts
        parts.memory.index_copy_(0, batch.indices, outputs.students[0].logits)
        parts.steps += 1
        student = outputs.networks[0].state_dict()
        for name, value in parts.average.state_dict().items():
            value.lerp_(student[name], 0.1)


@pytest.fixture
def run(project):
    return runs_of(project)["vanilla"]


def everything(run, folder, **more):
    return job(run, folder, method=Everything(), **more)


def test_equals_a_plain_loop(run, tmp_path):
    made = everything(run, tmp_path)
    (net,), layer = [copy.deepcopy(net).double() for net in made.networks], copy.deepcopy(made.parts.layer).double()
    average, memory = copy.deepcopy(net).eval(), torch.zeros(100, 10, dtype=torch.float64)
    both, step = nn.ModuleList([net, layer]), 0
    optimizer = plain_optimizer(both)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = float(torch.tensor(0.05 if epoch < 3 else 0.005))
        draws = generator(run.seed, "method", epoch)
        weight, other = torch.from_numpy(draws.random(100)), torch.from_numpy(draws.integers(0, 100, 100))
        for x, y, indices in batches(run.stage.data, run.seed, epoch, 48):
            logits = net(x).logits
            mirrored = net(x.flip(3)).logits
            loss = functional.cross_entropy(layer(logits), y)
            loss = loss + (weight[indices][:, None] * (mirrored - logits) ** 2).mean()
            loss = loss + ((average(x).logits.detach() - logits) ** 2).mean()
            loss = loss + (1 - step / 12) * ((memory[other[indices]] - logits) ** 2).mean()
            descend(optimizer, loss)
            step += 1
            memory[indices] = logits.detach()
            for mine, theirs in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                mine.copy_(0.9 * mine + 0.1 * theirs)
    trained = train(made)
    assert_same_weights(trained, [net])
    same = {"rtol": 1e-9, "atol": 1e-11}
    torch.testing.assert_close(made.parts.layer.state_dict(), layer.state_dict(), **same)
    torch.testing.assert_close(made.parts.average.state_dict(), average.state_dict(), **same)
    torch.testing.assert_close(made.parts.memory, memory, **same)
    assert made.parts.steps == 12
    assert list(trained.curve[0]["networks"][0]["loss"]) == ["ce", "mirrored", "average", "memory"]


def test_stopped_and_resumed_is_bit_identical(run, tmp_path):
    whole = everything(run, tmp_path / "whole", precision="float32")
    trained, done = train(whole), []
    with pytest.raises(Stopped):
        train(
            everything(run, tmp_path, precision="float32"),
            Told(after=done.append),
            out_of_time=lambda seconds: len(done) == 2,
        )
    made = everything(run, tmp_path, precision="float32")
    resumed = train(made)
    assert resumed.tensors.keys() == trained.tensors.keys()  # none of the method's own is left for others
    assert all(torch.equal(resumed.tensors[name], value) for name, value in trained.tensors.items())
    torch.testing.assert_close(made.parts.state_dict(), whole.parts.state_dict(), rtol=0, atol=0)


@pytest.mark.usefixtures("as_on_a_device")
def test_no_value_comes_back_to_the_host(run, tmp_path):
    training = Training(everything(run, tmp_path, precision="float32"))
    training.begin(0, 1)
    with Operations() as operations:
        training.train_loop.run(1)
    assert operations.names & READING == set()
    assert "aten::index_copy_" in operations.names


def test_draws_are_laid_out_in_place_anew_each_epoch_in_the_precision_of_the_run(run, tmp_path):
    training = Training(everything(run, tmp_path, precision="float32"))
    training.begin(0, 1)
    first = dict(training.draws)
    before = {name: drawn.clone() for name, drawn in first.items()}
    training.epoch = 1
    training.begin(3, 1)
    assert {name: drawn.dtype for name, drawn in first.items()} == {"weight": torch.float32, "other": torch.int64}
    for name, drawn in training.draws.items():
        assert drawn is first[name]
        assert not torch.equal(drawn, before[name])


def test_indices_are_places_in_the_training_set(run, tmp_path):
    seen = []

    class Watching(Everything):
        def loss(self, k, batch, outputs):
            seen.append((batch.indices, batch.labels))
            return super().loss(k, batch, outputs)

    train(job(run, tmp_path, method=Watching(), schedule=replace(run.stage.schedule, epochs=4)))
    labels = torch.from_numpy(images(100, 1)[1])
    assert all(torch.equal(labels[indices], own) for indices, own in seen)
    # Before its first step a training counts what one costs.
    assert sorted(torch.cat([indices for indices, _ in seen[1:4]]).tolist()) == list(range(100))


def test_the_hook_comes_after_the_update_with_what_was_said_before_it(run, tmp_path):
    seen = []

    class Watching(Everything):
        def loss(self, k, batch, outputs):
            seen.append((outputs.networks[0].linear.weight.clone(), outputs.students[0].logits.clone()))
            return super().loss(k, batch, outputs)

        def after_step(self, batch, outputs):
            weight, logits = seen.pop()
            assert not torch.equal(outputs.networks[0].linear.weight, weight)
            assert torch.equal(outputs.students[0].logits, logits)
            seen.append("after")

    training = Training(job(run, tmp_path, method=Watching()))
    training.begin(0, 2)
    training.train_loop.run(2)
    assert seen == ["after", "after"]


def test_trained_parts_begin_with_the_seeds_weights_and_others_with_what_they_were_given(run, tmp_path):
    made = [everything(replace(run, seed=seed), tmp_path) for seed in (1, 1, 2)]
    weights = [one.parts.layer.weight for one in made]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    initial = replace(run, stage=replace(run.stage, method=Everything(), initial="he_all"))
    assert not torch.equal(make_parts(initial, made[0].setup).layer.weight, weights[0])
    for one in made:
        torch.testing.assert_close(one.parts.average.state_dict(), one.networks[0].state_dict(), rtol=0, atol=0)


def test_parts_stay_in_the_mode_and_take_gradients_as_they_were_made(run, tmp_path):
    training = Training(everything(run, tmp_path))
    parts = training.job.parts
    assert not parts.average.training
    assert parts.memory.dtype == torch.float64
    (group,) = training.optimizers[0].param_groups
    own = [*training.job.networks[0].parameters(), *parts.layer.parameters()]
    assert [id(p) for p in group["params"]] == [id(p) for p in own]


def test_several_teachers_equal_a_plain_loop(project, tmp_path):
    runs = runs_of(project)
    one = runs["kd"].teachers[0]
    other = replace(one, seed=2)
    method, refs = KD(temperature=3.0, soften="both", alpha=0.5), runs["kd"].stage.teachers * 2
    stage = replace(runs["kd"].stage, method=method, teachers=refs)
    taught = replace(runs["kd"], stage=stage, sources={"teacher": one, "teacher.2": other})
    made = job(taught, tmp_path)
    teachers = [copy.deepcopy(teacher).double().eval() for teacher in made.teachers]
    assert not torch.equal(teachers[0].linear.weight, teachers[1].linear.weight)

    def step(nets, optimizers, x, y):
        logits = nets[0](x).logits
        with torch.no_grad():
            soft = torch.stack([functional.softmax(teacher(x).logits / 3, dim=1) for teacher in teachers]).mean(0)
        kl = (soft * (soft.log() - functional.log_softmax(logits / 3, dim=1))).sum(1).mean()
        descend(optimizers[0], functional.cross_entropy(logits, y) + 0.5 * 9 * kl)

    assert_same_weights(train(made), plain_loop(taught, step))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_captured_it_is_as_on_the_cpu(run, tmp_path):
    states = []
    for device in (CPU, torch.device("cuda")):
        made = everything(run, tmp_path / device.type, device=device)
        train(made)
        states.append({name: tensor.cpu() for name, tensor in made.parts.state_dict().items()})
    torch.testing.assert_close(*states, rtol=1e-9, atol=1e-11)
