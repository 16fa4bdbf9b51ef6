from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import DeviceError
from bench.methods.data_impressions import DataImpressions
from bench.networks.initial import initialise
from bench.networks.small import MLP
from bench.optimizers import Adam
from bench.recipe import Data, Stage
from bench.rng import generator
from bench.schedules import Constant, Schedule
from bench.train import artifacts, synthesis
from bench.train.progress import Stopped, run_to_completion
from bench.train.results import Outcome
from bench.train.synthesis import Synthesis
from tests.told import Told

CPU = torch.device("cpu")
DATA = Data("mnist", "all", "all", 0, "constant", False, (0.1307,), (0.3081,))
ADAM = Adam(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0)


def job(
    folder: Path, *, count: int = 12, batch: int = 5, iterations: int = 30, precision: str = "float64"
) -> Synthesis:
    teacher = MLP(hidden=16).build(10, 1, 28)
    initialise(teacher, generator(1, "weights/0"))
    schedule = Schedule(batch=5, lr=0.05, decay=Constant(), iterations=iterations)
    method = DataImpressions(count=12, scalings=(1.0, 0.1), temperature=5.0)
    stage = Stage("impressions", DATA, (), method, schedule, ADAM, "float64")
    return Synthesis("id", 3, stage, teacher, method, (1, 28, 28), CPU, precision, folder / "unfinished", {})


def synthesise(work: Synthesis, progress: Told, **more: Callable[[float], bool]) -> Outcome:
    return run_to_completion(synthesis.synthesise(work, progress, **more))


def plain_loop(work: Synthesis) -> tuple[np.ndarray, np.ndarray]:
    """Every image alone, by PyTorch's own Adam: what the engine must come to."""
    net, images = work.teacher.double().eval(), []
    weights = net.linear.weight.detach().numpy()
    targets = torch.from_numpy(work.method.targets(weights, generator(work.seed, "targets")))
    batch, n = work.stage.schedule.batch, work.method.count
    noise = [generator(work.seed, "noise", b).standard_normal((min(batch, n - b * batch), 1, 28, 28)) for b in range(3)]
    for i, start in enumerate(np.concatenate(noise)):
        image = torch.tensor(start[None], requires_grad=True)
        optimizer = torch.optim.Adam([image], lr=0.05)
        for _ in range(work.stage.schedule.iterations or 0):
            optimizer.zero_grad()
            soft = torch.softmax(net(image).logits / 5.0, 1)
            (-(targets[i] * soft.log()).sum()).backward()
            optimizer.step()
        images.append(image.detach().numpy()[0])
    return np.stack(images), targets.numpy()


def test_equals_a_plain_loop_over_single_images(tmp_path: Path) -> None:
    work = job(tmp_path)
    made = synthesise(work, Told())
    expected, targets = plain_loop(job(tmp_path))
    images, labels = artifacts.images(made.tensors)
    np.testing.assert_array_equal(images.numpy(), expected.astype(np.float16))
    assert labels.tolist() == [*range(10), 0, 1]
    assert [line["epoch"] for line in made.curve] == [1, 2, 3]
    net = work.teacher
    reached = torch.softmax(net(torch.from_numpy(expected)).logits / 5.0, 1).detach().numpy()
    losses = -(targets * np.log(reached)).sum(1)
    told = [line["networks"][0]["loss"]["cross_entropy"] for line in made.curve]
    np.testing.assert_allclose(told, [losses[:5].mean(), losses[5:10].mean(), losses[10:].mean()], atol=1e-6)


def test_the_network_is_neither_trained_nor_in_training_mode(tmp_path: Path) -> None:
    work = job(tmp_path)
    before = {name: tensor.clone() for name, tensor in work.teacher.double().state_dict().items()}
    work.teacher.train()
    synthesise(work, Told())
    torch.testing.assert_close(work.teacher.state_dict(), before, rtol=0, atol=0)
    assert not work.teacher.training


def test_optimising_makes_the_network_say_what_was_asked(tmp_path: Path) -> None:
    short, long = (synthesise(job(tmp_path, iterations=n), Told()).curve for n in (1, 300))
    losses = [[line["networks"][0]["loss"]["cross_entropy"] for line in curve] for curve in (short, long)]
    assert all(after < before - 0.05 for before, after in zip(*losses, strict=True))


def stop_after(batches: int) -> Callable[[float], bool]:
    asked = 0

    def out_of_time(seconds: float) -> bool:
        nonlocal asked
        asked += 1 if seconds or not asked else 0
        return asked > batches

    return out_of_time


def test_stopped_and_resumed_is_as_in_one_go(tmp_path: Path) -> None:
    whole = synthesise(job(tmp_path / "a"), Told())
    with pytest.raises(Stopped):
        synthesise(job(tmp_path / "b"), Told(), out_of_time=stop_after(2))
    assert (tmp_path / "b" / "unfinished").is_file()
    told = Told()
    rest = synthesise(job(tmp_path / "b"), told)
    assert 0 < len(told.steps) < 90
    assert torch.equal(artifacts.images(rest.tensors)[0], artifacts.images(whole.tensors)[0])
    strip = [[{k: v for k, v in line.items() if k != "seconds"} for line in made.curve] for made in (rest, whole)]
    assert strip[0] == strip[1]


def test_does_not_go_on_in_another_precision(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        synthesise(job(tmp_path), Told(), out_of_time=stop_after(1))
    with pytest.raises(DeviceError, match="begun in float64"):
        synthesise(job(tmp_path, precision="float32"), Told())
