"""The engine against plain loops written apart from it, in float64; and its stops, resumptions and ends."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.data.pictures import Pictures
from bench.data.views import epoch_draws
from bench.rng import generator
from bench.errors import DeviceError, StoreError
from bench.executors.local import fresh_networks, make_job, make_network
from bench.graph import Run, plan
from bench.methods.vanilla import Vanilla
from bench.networks import initialise
from bench.recipe import Spec, load
from bench.train import checkpoint, engine
from bench.train.progress import Stopped
from bench.train.turns import to_the_end

CPU = torch.device("cpu")


class Silent:
    """Watches nothing, but may call a function after an epoch."""

    def __init__(self, after=lambda entry: None):
        self.after = after

    def step(self, epoch, step, steps):
        pass

    def epoch(self, entry, epochs, images_per_second, seconds_left):
        self.after(entry)


def train(job, progress, **more):
    return to_the_end(engine.train(job, progress, **more))


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    """The tiny table's runs of seed 1, by row."""
    graph = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1])
    return {row: found[1] for (_, row), found in graph.rows.items()}


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    return draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), draws.integers(0, 10, count)


def job(run: Run, folder: Path, *, precision: str = "float64", **stage):
    run = replace(run, stage=replace(run.stage, precision=precision, **stage))
    dtype = torch.float64 if precision == "float64" else torch.float32
    data = run.stage.data
    pictures = (
        Pictures(*images(100, 1), data, CPU, dtype, augment=True),
        Pictures(*images(60, 2), data, CPU, dtype, augment=False),
    )
    teachers = []
    if run.teacher is not None:
        teachers.append(make_network(run.teacher, 0))
        teachers[0].load_state_dict(fresh_networks(run.teacher)[0].state_dict())
    return make_job(run, fresh_networks(run), teachers, pictures, CPU, folder / "checkpoint.safetensors", {})


def batches(data, seed: int, epoch: int, batch: int):
    """The batches of an epoch, cut and flipped image by image with numpy."""
    pixels, labels = images(100, 1)
    pad = data.crop_padding
    padded = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    draws = epoch_draws(seed, epoch, 100, pad, data.flip)
    for start in range(0, 100, batch):
        chosen = draws.order[start : start + batch]
        crops = []
        for i in chosen:
            crop = padded[i, draws.top[i] : draws.top[i] + 32, draws.left[i] : draws.left[i] + 32]
            crops.append(crop[:, ::-1] if draws.flip[i] else crop)
        x = (np.stack(crops).astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
        yield torch.from_numpy(x.astype(np.float64).transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels[chosen])


def plain_optimizer(net):
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4, foreach=False)


def plain_loop(run: Run, step, epochs: int = 4):
    """Train fresh networks with PyTorch's own optimiser; ``step`` is called with networks, optimisers and a batch."""
    nets = [net.double().train() for net in fresh_networks(run)]
    optimizers = [plain_optimizer(net) for net in nets]
    for epoch in range(epochs):
        for optimizer in optimizers:
            # The engine's rate is a float32 tensor.
            optimizer.param_groups[0]["lr"] = float(np.float32(0.05 if epoch < 3 else 0.05 * 0.1))
        for x, y in batches(run.stage.data, run.seed, epoch, 48):
            step(nets, optimizers, x, y)
    return nets


def descend(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def assert_same_weights(trained, nets):
    for k, net in enumerate(nets):
        for name, value in net.state_dict().items():
            torch.testing.assert_close(trained.tensors[f"net{k}.{name}"], value, rtol=1e-9, atol=1e-11)


def test_vanilla_equals_a_plain_loop(runs, tmp_path):
    def step(nets, optimizers, x, y):
        descend(optimizers[0], functional.cross_entropy(nets[0](x).logits, y))

    trained = train(job(runs["vanilla"], tmp_path), Silent())
    assert_same_weights(trained, plain_loop(runs["vanilla"], step))
    assert len(trained.curve) == 4
    assert trained.status == "done"


def test_kd_equals_a_plain_loop(runs, tmp_path):
    teacher = fresh_networks(runs["kd"].teacher)[0].double().eval()

    def step(nets, optimizers, x, y):
        logits = nets[0](x).logits
        with torch.no_grad():
            soft = functional.softmax(teacher(x).logits / 3, dim=1)
        kl = (soft * (soft.log() - functional.log_softmax(logits / 3, dim=1))).sum(1).mean()
        descend(optimizers[0], functional.cross_entropy(logits, y) + 9 * kl)

    assert_same_weights(train(job(runs["kd"], tmp_path), Silent()), plain_loop(runs["kd"], step))


def decaying(start: float = 4.0, end: float = 1.0) -> Spec:
    return Spec("kd_decay", {"temperature": 3.0, "start": start, "end": end})


def test_a_weight_that_falls_equals_a_plain_loop(runs, tmp_path):
    teacher, steps = fresh_networks(runs["kd"].teacher)[0].double().eval(), iter(range(12))

    def step(nets, optimizers, x, y):
        logits = nets[0](x).logits
        with torch.no_grad():
            soft = functional.softmax(teacher(x).logits / 3, dim=1)
        ce = -(soft * functional.log_softmax(logits / 3, dim=1)).sum(1).mean()
        descend(optimizers[0], functional.cross_entropy(logits, y) + (4 - 3 * next(steps) / 12) * ce)

    # Three steps in each of four epochs.
    trained = train(job(runs["kd"], tmp_path, method=decaying()), Silent())
    assert_same_weights(trained, plain_loop(runs["kd"], step))
    assert next(steps, None) is None


@pytest.mark.parametrize("stop_before", [None, 1, 3])
def test_progress_is_the_share_of_the_steps_that_are_done(runs, tmp_path, stop_before):
    seen, done = [], []

    class Watching(Vanilla):
        def loss(self, k, labels, outputs):
            seen.append(outputs.progress)
            return super().loss(k, labels, outputs)

    def begun():
        # Eleven steps: the last epoch is a part of one.
        made = job(
            runs["vanilla"], tmp_path, schedule=replace(runs["vanilla"].stage.schedule, epochs=None, iterations=11)
        )
        return replace(made, method=Watching(10))

    if stop_before:
        with pytest.raises(Stopped):
            train(begun(), Silent(after=done.append), out_of_time=lambda seconds: len(done) == stop_before)
    train(begun(), Silent())
    assert {(share.shape, share.device) for share in seen} == {((), CPU)}
    assert [share.item() for share in seen] == [step / 11 for step in range(11)]


def test_dml_equals_the_papers_algorithm(runs, tmp_path):
    def mutual(own, other, y):
        p = functional.softmax(other.detach(), dim=1)
        kl = (p * (p.log() - functional.log_softmax(own, dim=1))).sum(1).mean()
        return functional.cross_entropy(own, y) + kl

    def step(nets, optimizers, x, y):
        first, second = nets[0](x).logits, nets[1](x).logits
        descend(optimizers[0], mutual(first, second, y))
        kept = {name: value.clone() for name, value in nets[0].named_buffers()}
        with torch.no_grad():
            again = nets[0](x).logits
        for name, value in nets[0].named_buffers():
            value.copy_(kept[name])
        descend(optimizers[1], mutual(second, again, y))

    assert_same_weights(train(job(runs["dml"], tmp_path), Silent()), plain_loop(runs["dml"], step))


def test_the_curve_says_what_the_network_does(runs, tmp_path):
    trained = train(job(runs["vanilla"], tmp_path), Silent())
    net = make_network(runs["vanilla"], 0).double().eval()
    net.load_state_dict({name.removeprefix("net0."): t for name, t in trained.tensors.items() if "net0." in name})
    pixels, labels = images(60, 2)
    x = ((torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25).double().permute(0, 3, 1, 2)
    logits = net(x).logits.detach()
    wrong = (logits.argmax(1).numpy() != labels).mean() * 100
    assert trained.results[0].last_error == pytest.approx(wrong, abs=1e-3)
    torch.testing.assert_close(trained.tensors["logits0"], logits.half())
    errors = [entry["networks"][0]["test_error"] for entry in trained.curve]
    assert trained.results[0].best_error == min(errors)
    assert trained.results[0].best_epoch == errors.index(min(errors)) + 1


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
@pytest.mark.parametrize("stop_before", [1, 3])
def test_a_resumed_run_is_bit_identical(runs, tmp_path, row, stop_before):
    whole = train(job(runs[row], tmp_path / "whole", precision="float32"), Silent())
    done = []
    with pytest.raises(Stopped):
        train(
            job(runs[row], tmp_path, precision="float32"),
            Silent(after=done.append),
            out_of_time=lambda seconds: len(done) == stop_before,
        )
    resumed = train(job(runs[row], tmp_path, precision="float32"), Silent())
    assert len(resumed.curve) == 4
    assert [e["networks"] for e in resumed.curve] == [e["networks"] for e in whole.curve]
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_nothing_of_an_epoch_that_was_given_up_is_kept(runs, tmp_path):
    whole = train(job(runs["vanilla"], tmp_path / "whole", precision="float32"), Silent())
    with pytest.raises(Stopped):
        train(job(runs["vanilla"], tmp_path, precision="float32"), Silent(), out_of_time=lambda seconds: seconds == 0)
    resumed = train(job(runs["vanilla"], tmp_path, precision="float32"), Silent())
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_another_precision_is_refused_on_resume(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0.0)

    def interrupt(entry):
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job(runs["vanilla"], tmp_path, precision="float32"), Silent(after=interrupt))
    with pytest.raises(DeviceError, match="was begun in float32"):
        train(job(runs["vanilla"], tmp_path, precision="float64"), Silent())


def test_a_nan_ends_the_run_as_diverged(runs, tmp_path):
    schedule = replace(runs["vanilla"].stage.schedule, lr=1e18)
    trained = train(job(runs["vanilla"], tmp_path, precision="float32", schedule=schedule), Silent())
    assert trained.status == "diverged"
    assert len(trained.curve) < 4
    assert trained.results[0].last_error is None
    assert trained.curve[-1]["networks"][0]["loss"] == {"ce": None}


def test_iterations_end_inside_an_epoch(runs, tmp_path):
    schedule = replace(runs["vanilla"].stage.schedule, epochs=None, iterations=5, drops=(4,))
    made = job(runs["vanilla"], tmp_path, schedule=schedule)

    steps = []

    class Count(Silent):
        def step(self, epoch, step, steps_):
            steps.append((epoch, step))

    trained = train(made, Count())
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert trained.curve[-1]["lr"] == pytest.approx(0.005)


def test_a_teacher_that_moves_is_noticed(runs, tmp_path):
    made = job(runs["kd"], tmp_path)

    def move(entry):
        next(made.teachers[0].buffers()).add_(1)

    with pytest.raises(AssertionError, match="buffers changed"):
        train(made, Silent(after=move))


def test_seeds_are_paired_across_methods(runs):
    first = {row: fresh_networks(run)[0].state_dict() for row, run in runs.items()}
    for name, value in first["vanilla"].items():
        assert torch.equal(value, first["kd"][name])
        assert torch.equal(value, first["dml"][name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_graphs_train_as_the_eager_path_does_without_waiting(runs, tmp_path):
    """Captured steps equal eager ones, and no step of either waits for the device."""
    curves = []
    for capture in (True, False):
        made = job(runs["vanilla"], tmp_path / str(capture), precision="float32")
        cuda = torch.device("cuda")
        pictures = [
            Pictures(*images(n, s), made.stage.data, cuda, torch.float32, augment=a)
            for n, s, a in ((100, 1, True), (60, 2, False))
        ]
        training = engine.Training(replace(made, device=cuda, train=pictures[0], test=pictures[1]))
        if capture:
            training.capture()
        training.begin(0, 3)
        training.batches.run(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        try:
            training.batches.run(2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        curves.append(training.sums.totals["0.ce"].item())
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


class WithPart(Vanilla):
    """Cross entropy through a trainable layer of the method's own."""

    def __init__(self, classes):
        super().__init__(classes)
        self.part = nn.Linear(classes, classes)

    def loss(self, k, labels, outputs):
        return {"ce": functional.cross_entropy(self.part(outputs.students[k].logits.float()), labels)}


def test_trainable_parts_of_a_method_are_trained_and_resumed(runs, tmp_path):
    def made(folder):
        method = WithPart(10)
        initialise(method, generator(1, "weights/method"))
        return replace(job(runs["vanilla"], folder, precision="float32"), method=method)

    whole = made(tmp_path / "whole")
    first = whole.method.part.weight.clone()
    trained = train(whole, Silent())
    assert not torch.equal(whole.method.part.weight, first)
    assert not any("part" in name for name in trained.tensors)
    done = []
    with pytest.raises(Stopped):
        train(made(tmp_path), Silent(after=done.append), out_of_time=lambda seconds: len(done) == 2)
    resumed = made(tmp_path)
    train(resumed, Silent())
    assert torch.equal(resumed.method.part.weight, whole.method.part.weight)


def test_a_checkpoint_goes_on_only_with_the_same_teacher(runs, tmp_path):
    made = job(runs["kd"], tmp_path, precision="float32")
    done = []
    with pytest.raises(Stopped):
        train(made, Silent(after=done.append), out_of_time=lambda seconds: len(done) == 1)
    other = job(runs["kd"], tmp_path, precision="float32")
    with pytest.raises(StoreError, match="begun with other weights of its teacher"):
        train(replace(other, taken={"teacher": {"record": "another", "artifact": "0"}}), Silent())


def test_a_checkpoint_of_another_version_is_refused_in_a_line(runs, tmp_path):
    made = job(runs["vanilla"], tmp_path, precision="float32")
    checkpoint.write(made.checkpoint, {}, {"id": made.id, "taken": {}, "precision": "float32", "epoch": 1})
    with pytest.raises(StoreError, match=r"checkpoint\.safetensors was begun by another kdbench; [^\n]*$"):
        train(made, Silent())


def test_a_graph_that_cannot_be_captured_is_told_and_done_without(runs, tmp_path, monkeypatch):
    training = engine.Training(job(runs["vanilla"], tmp_path, precision="float32"))
    training.job = replace(training.job, device=torch.device("cuda"))

    def refuse(state):
        training.batches.graphs[1] = None
        raise RuntimeError("not permitted when stream is capturing\nmore")

    monkeypatch.setattr(training.batches, "capture", refuse)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with pytest.warns(UserWarning, match="no CUDA graph, .*: not permitted when stream is capturing$"):
        training.capture()
    assert training.batches.graphs == {}
