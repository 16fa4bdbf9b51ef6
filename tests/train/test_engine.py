"""The engine against plain loops written apart from it, in float64; and its stops, resumptions and ends."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from bench.build import fresh_networks, make_network
from bench.errors import DeviceError, StoreError
from bench.graph import Run
from bench.methods.kd import DecayingKD
from bench.methods.vanilla import Vanilla
from bench.schedules import Steps
from bench.train import artifacts, engine
from bench.train.progress import Stopped
from tests.told import Told
from tests.train.plain import assert_same_weights, descend, plain_loop
from tests.train.tiny import CPU, images, job, runs_of, train


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    return runs_of(project)


def test_vanilla_equals_a_plain_loop(runs, tmp_path):
    def step(nets, optimizers, x, y):
        descend(optimizers[0], functional.cross_entropy(nets[0](x).logits, y))

    trained = train(job(runs["vanilla"], tmp_path))
    assert_same_weights(trained, plain_loop(runs["vanilla"], step))
    assert len(trained.curve) == 4
    assert trained.status == "done"


def test_kd_equals_a_plain_loop(runs, tmp_path):
    teacher = fresh_networks(runs["kd"].teachers[0])[0].double().eval()

    def step(nets, optimizers, x, y):
        logits = nets[0](x).logits
        with torch.no_grad():
            soft = functional.softmax(teacher(x).logits / 3, dim=1)
        kl = (soft * (soft.log() - functional.log_softmax(logits / 3, dim=1))).sum(1).mean()
        descend(optimizers[0], functional.cross_entropy(logits, y) + 9 * kl)

    assert_same_weights(train(job(runs["kd"], tmp_path)), plain_loop(runs["kd"], step))


def test_a_weight_that_falls_equals_a_plain_loop(runs, tmp_path):
    teacher, steps = fresh_networks(runs["kd"].teachers[0])[0].double().eval(), iter(range(12))

    def step(nets, optimizers, x, y):
        logits = nets[0](x).logits
        with torch.no_grad():
            soft = functional.softmax(teacher(x).logits / 3, dim=1)
        ce = -(soft * functional.log_softmax(logits / 3, dim=1)).sum(1).mean()
        descend(optimizers[0], functional.cross_entropy(logits, y) + (4 - 3 * next(steps) / 12) * ce)

    # Three steps in each of four epochs.
    trained = train(job(runs["kd"], tmp_path, method=DecayingKD(temperature=3.0, start=4.0, end=1.0)))
    assert_same_weights(trained, plain_loop(runs["kd"], step))
    assert next(steps, None) is None


@pytest.mark.parametrize("stop_before", [None, 1, 3])
def test_progress_is_the_share_of_the_steps_that_are_done(runs, tmp_path, stop_before):
    seen, done, counted = [], [], []

    class Watching(Vanilla):
        def loss(self, k, batch, outputs):
            # Before its first step a training counts what one costs.
            (seen if counted else counted).append(batch.progress.clone())
            return super().loss(k, batch, outputs)

    def begun():
        counted.clear()
        # Eleven steps: the last epoch is a part of one.
        made = job(
            runs["vanilla"], tmp_path, schedule=replace(runs["vanilla"].stage.schedule, epochs=None, iterations=11)
        )
        return replace(made, method=Watching())

    if stop_before:
        with pytest.raises(Stopped):
            train(begun(), Told(after=done.append), out_of_time=lambda seconds: len(done) == stop_before)
    train(begun())
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

    assert_same_weights(train(job(runs["dml"], tmp_path)), plain_loop(runs["dml"], step))


def test_the_curve_says_what_the_network_does(runs, tmp_path):
    trained = train(job(runs["vanilla"], tmp_path))
    net = make_network(runs["vanilla"]).double().eval()
    net.load_state_dict(artifacts.weights(trained.tensors))
    pixels, labels = images(60, 2)
    x = ((torch.from_numpy(pixels).float() / 255 - 0.5) / 0.25).double().permute(0, 3, 1, 2)
    logits = net(x).logits.detach()
    wrong = (logits.argmax(1).numpy() != labels).mean() * 100
    assert trained.results[0].last_error == pytest.approx(wrong, abs=1e-3)
    torch.testing.assert_close(artifacts.logits(trained.tensors), logits.half())
    errors = [entry["networks"][0]["test_error"] for entry in trained.curve]
    assert trained.results[0].best_error == min(errors)
    assert trained.results[0].best_epoch == errors.index(min(errors)) + 1


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
@pytest.mark.parametrize("stop_before", [1, 3])
def test_a_resumed_run_is_bit_identical(runs, tmp_path, row, stop_before):
    whole = train(job(runs[row], tmp_path / "whole", precision="float32"))
    done = []
    with pytest.raises(Stopped):
        train(
            job(runs[row], tmp_path, precision="float32"),
            Told(after=done.append),
            out_of_time=lambda seconds: len(done) == stop_before,
        )
    resumed = train(job(runs[row], tmp_path, precision="float32"))
    assert len(resumed.curve) == 4
    assert [e["networks"] for e in resumed.curve] == [e["networks"] for e in whole.curve]
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_nothing_of_an_epoch_that_was_given_up_is_kept(runs, tmp_path):
    whole = train(job(runs["vanilla"], tmp_path / "whole", precision="float32"))
    with pytest.raises(Stopped):
        train(job(runs["vanilla"], tmp_path, precision="float32"), Told(), out_of_time=lambda seconds: seconds == 0)
    resumed = train(job(runs["vanilla"], tmp_path, precision="float32"))
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_another_precision_is_refused_on_resume(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", 0.0)

    def interrupt(entry):
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job(runs["vanilla"], tmp_path, precision="float32"), Told(after=interrupt))
    with pytest.raises(DeviceError, match="was begun in float32"):
        train(replace(job(runs["vanilla"], tmp_path, precision="float32"), precision="bfloat16"))


def test_a_nan_ends_the_run_as_diverged(runs, tmp_path):
    schedule = replace(runs["vanilla"].stage.schedule, lr=1e18)
    trained = train(job(runs["vanilla"], tmp_path, precision="float32", schedule=schedule))
    assert trained.status == "diverged"
    assert len(trained.curve) < 4
    assert trained.results[0].last_error is None
    assert trained.curve[-1]["networks"][0]["loss"] == {"ce": None}


def test_iterations_end_inside_an_epoch(runs, tmp_path):
    schedule = replace(runs["vanilla"].stage.schedule, epochs=None, iterations=5, decay=Steps((4,), 0.1))
    made = job(runs["vanilla"], tmp_path, schedule=schedule)
    told = Told()
    trained = train(made, told)
    assert told.steps == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 2), (2, 2, 2)]
    assert trained.curve[-1]["lr"] == pytest.approx(0.005)


def test_a_teacher_that_moves_is_noticed(runs, tmp_path):
    made = job(runs["kd"], tmp_path)

    def move(entry):
        next(made.teachers[0].buffers()).add_(1)

    with pytest.raises(AssertionError, match="buffers changed"):
        train(made, Told(after=move))


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
def test_counting_on_the_host_or_on_the_device_gives_the_same_bits(runs, tmp_path, row, request):
    on_host = train(job(runs[row], tmp_path / "host", precision="float32"))
    request.getfixturevalue("as_on_a_device")
    on_device = train(job(runs[row], tmp_path / "device", precision="float32"))
    assert all(torch.equal(own, on_device.tensors[name]) for name, own in on_host.tensors.items())
    assert [line["networks"] for line in on_host.curve] == [line["networks"] for line in on_device.curve]
    assert on_host.step_flops == on_device.step_flops


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
        cuda = torch.device("cuda")
        training = engine.Training(job(runs["vanilla"], tmp_path / str(capture), precision="float32", device=cuda))
        if capture:
            training.capture()
        training.begin(0, 3)
        training.train_loop.run(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        try:
            training.train_loop.run(2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        curves.append(training.sums.read()["0.ce"].item())
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_a_checkpoint_is_resumed_only_with_the_same_teacher(runs, tmp_path):
    made = job(runs["kd"], tmp_path, precision="float32")
    done = []
    with pytest.raises(Stopped):
        train(made, Told(after=done.append), out_of_time=lambda seconds: len(done) == 1)
    other = job(runs["kd"], tmp_path, precision="float32")
    with pytest.raises(StoreError, match="begun with other weights of its teacher"):
        train(replace(other, taken={"teacher": {"record": "another", "artifact": "0"}}))


@pytest.fixture
def on_cuda(runs, tmp_path, monkeypatch):
    """A training that takes its device for CUDA, and whose capture fails as PyTorch's do: the reason comes first."""
    training = engine.Training(job(runs["vanilla"], tmp_path, precision="float32"))
    training.job = replace(training.job, device=torch.device("cuda"))

    def refuse(state):
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        finally:
            raise RuntimeError("capture failed due to a previous error")

    monkeypatch.setattr(training.train_loop, "capture", refuse)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.delenv("KDBENCH_GRAPHS", raising=False)
    return training


def test_a_graph_that_cannot_be_captured_ends_with_the_first_reason_and_a_way_on(on_cuda):
    # An allocator that was left in a capture would fail later, and far from here.
    with pytest.raises(DeviceError) as raised:
        on_cuda.capture()
    reason = "no CUDA graph of a step: operation not permitted when stream is capturing; the same command with"
    assert str(raised.value) == f"{reason} KDBENCH_GRAPHS=0 runs without graphs, several times slower"


def test_without_graphs_where_that_is_asked_for(on_cuda, monkeypatch):
    monkeypatch.setenv("KDBENCH_GRAPHS", "0")
    with pytest.warns(UserWarning, match="no CUDA graphs, as KDBENCH_GRAPHS=0 says: steps are several times slower"):
        on_cuda.capture()
