"""FLOPs that a training really spends: counted in a step, against arithmetic; counting changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.counting import count
from bench.graph import Run
from bench.train import artifacts
from bench.train.engine import Training
from bench.train.progress import Stopped
from bench.train.teacher_cache import LogitsCache
from tests.told import Told
from tests.train.tiny import job, runs_of, train

IMAGES, EPOCHS = 100, 4


@pytest.fixture(scope="module")
def runs(tiny: Path) -> dict[str, Run]:
    return runs_of(tiny.parent)


@pytest.fixture(scope="module")
def macs(runs: dict[str, Run]) -> tuple[int, int]:
    """Multiply-adds of the tiny network, and of its first convolution: 3 -> 8 channels, 3x3, on 32x32 pixels."""
    network = runs["vanilla"].stage.networks[0]
    return count(network, 10, 3, 32).macs or 0, 3 * 8 * 9 * 32 * 32


def test_a_first_layer_needs_no_gradient_of_its_input(runs: dict[str, Run], macs: tuple[int, int], tmp_path: Path):
    outcome = train(job(runs["vanilla"], tmp_path, precision="float32"))
    whole, first = macs
    assert outcome.step_flops == 2 * (3 * whole - first)
    assert (outcome.answer_flops, outcome.cached) == (0.0, None)


@pytest.mark.parametrize("row", ["vanilla", "kd", "dml"])
def test_as_pytorch_counts(row: str, runs: dict[str, Run], tmp_path: Path):
    training = Training(job(runs[row], tmp_path, precision="float32"))
    training.begin(0, 1)
    training.mode(training=True)
    with FlopCounterMode(display=False) as theirs:
        training.train_loop.run(1)
    assert training.train_loop.flops(training.state) == theirs.get_total_flops() > 0


def test_a_teacher_that_answers_in_every_step_is_part_of_it(
    runs: dict[str, Run], macs: tuple[int, int], tmp_path: Path
):
    outcome = train(job(runs["kd"], tmp_path, precision="float32"))
    whole, first = macs
    assert outcome.step_flops == 2 * (3 * whole - first + whole)
    assert (outcome.answer_flops, outcome.cached) == (0.0, False)


def test_a_teacher_whose_answers_are_kept_costs_what_it_was_asked(
    runs: dict[str, Run], macs: tuple[int, int], tmp_path: Path
):
    made = job(runs["kd"], tmp_path, precision="float32")
    cache = LogitsCache(IMAGES, made.stage.data.crop_padding, made.stage.data.flip)
    outcome = train(replace(made, caches=[cache]))
    whole, first = macs
    assert outcome.step_flops == 2 * (3 * whole - first)
    assert outcome.answer_flops == 2 * whole * cache.known.sum() < 2 * whole * IMAGES * EPOCHS
    assert outcome.cached is True


def test_a_sequential_update_predicts_again(runs: dict[str, Run], macs: tuple[int, int], tmp_path: Path):
    whole, first = macs
    assert train(job(runs["dml"], tmp_path, precision="float32")).step_flops == 2 * (2 * (3 * whole - first) + whole)


def test_counting_changes_no_bit(runs: dict[str, Run], tmp_path: Path):
    counted, plain = (Training(job(runs["dml"], tmp_path / name)) for name in ("counted", "plain"))
    counted.count()
    assert all(torch.equal(a, b) for a, b in zip(counted.state(), plain.state(), strict=False))


def test_what_a_teacher_was_asked_before_a_stop_counts(runs: dict[str, Run], tmp_path: Path):
    def made(folder: Path):
        whole = job(runs["kd"], folder, precision="float32")
        return replace(whole, caches=[LogitsCache(IMAGES, 2, True)])

    done = []
    with pytest.raises(Stopped):
        train(made(tmp_path), Told(after=done.append), out_of_time=lambda seconds: len(done) == 2)
    # The cache of the process that was stopped is gone: the teacher is asked again.
    resumed, whole = train(made(tmp_path)), train(made(tmp_path / "whole"))
    assert resumed.answer_flops > whole.answer_flops
    assert artifacts.weights(resumed.tensors).keys() == artifacts.weights(whole.tensors).keys()
