"""Images of low resolution: what students are trained and tested on, beside teachers that see them whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.graph import plan
from bench.networks.modules.base import Output
from bench.recipe import load
from bench.train.engine import Training
from bench.train.loader import reduced
from bench.train.teacher_cache import LogitsCache
from tests.train.tiny import job, runs_of


@pytest.fixture
def runs(project):
    return runs_of(project)


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 4, 8, 16]))
@settings(max_examples=20, deadline=None)
def test_means_of_squares_then_bilinear_back(seed: int, side: int) -> None:
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 3, 32, 32)))
    made, step = reduced(images, side), 32 // side
    small = images.numpy().reshape(2, 3, side, step, side, step).mean(axis=(3, 5))
    # A pixel lies between the centres of squares; beyond the outermost ones it is theirs.
    place = np.clip((np.arange(32) + 0.5) / step - 0.5, 0, side - 1)
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, side - 1), place - low
    rows = small[:, :, low] * (1 - share[:, None]) + small[:, :, high] * share[:, None]
    expected = rows[..., low] * (1 - share) + rows[..., high] * share
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_without_a_resolution_nothing_is_done() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert reduced(images, None) is images


def low(run, side: int):
    return replace(run.stage.data, resolution=side)


def seen(training: Training) -> dict[object, list[Tensor]]:
    """Every batch that each network is shown from now on."""
    shown: dict[object, list[Tensor]] = {}

    def forward(network, images: Tensor) -> Output:
        shown.setdefault(network, []).append(images.detach().clone())
        return Training._forward(training, network, images)

    training._forward = forward
    return shown


@pytest.mark.parametrize("taught_at", [None, 16])
def test_of_the_same_crops_a_student_sees_less_than_its_teacher(runs, tmp_path, taught_at) -> None:
    made = replace(job(runs["kd"], tmp_path, data=low(runs["kd"], 8)), taught_at=[taught_at])
    training = Training(made)
    shown = seen(training)
    training.begin(0, 2)
    training.train_loop.run(2)
    whole = [made.train.batch(torch.arange(48 * i, 48 * i + 48))[0] for i in range(2)]
    for images, student, teacher in zip(whole, shown[made.networks[0]], shown[made.teachers[0]], strict=True):
        assert torch.equal(student, reduced(images, 8))
        assert torch.equal(teacher, reduced(images, taught_at))
        assert not torch.equal(student, teacher)


def test_a_cached_teacher_sees_what_one_in_the_step_sees(runs, tmp_path) -> None:
    data, sums = low(runs["kd"], 8), []
    for caches in ([], [LogitsCache(100, 2, True)]):
        training = Training(replace(job(runs["kd"], tmp_path, data=data), caches=caches))
        training.begin(0, 2)
        training.mode(training=True)
        training.train_loop.run(2)
        sums.append({name: float(total) for name, total in training.sums.read().items()})
    assert sums[0] == pytest.approx(sums[1], rel=1e-9)


def test_a_network_is_tested_as_it_is_trained(runs, tmp_path) -> None:
    training = Training(job(runs["vanilla"], tmp_path, data=low(runs["vanilla"], 8)))
    shown = seen(training)
    training.mode(training=False)
    training.test_loop.run(1)
    (images,) = shown[training.job.networks[0]]
    assert torch.equal(images, reduced(training.job.test.batch(torch.arange(60))[0], 8))


def test_a_teacher_sees_images_as_it_was_trained_to(project, tmp_path) -> None:
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text().replace("method: vanilla,", "method: vanilla, data: {resolution: 16},")
    recipe.write_text(text.replace("    teacher: vanilla#1", "    data: {resolution: 8}\n    teacher: vanilla#1"))
    runs = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1]).rows
    made = job(runs["tiny", "kd"][1], tmp_path)
    assert (made.stage.data.resolution, made.taught_at) == (8, [16])
    assert job(runs["tiny", "dml"][1], tmp_path).taught_at == []
