"""A teacher's remembered logits against the teacher itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.kd import KD
from bench.train import teacher_cache
from bench.train.engine import Training
from bench.train.loader import EpochRandomness
from bench.train.teacher_cache import LogitsCache, expected_miss_rate, is_worthwhile, num_views
from tests.told import Told
from tests.train.tiny import CPU, job, runs_of, train


@pytest.fixture
def runs(project):
    return runs_of(project)


def kd(runs, folder, seed=1, **stage):
    # Batches that divide the set: to a smaller last batch a network may answer a little differently.
    run = runs["kd"]
    schedule = replace(run.stage.schedule, batch=25, epochs=6)
    return job(replace(run, seed=seed), folder, precision="float32", schedule=schedule, **stage)


def asked(work) -> list[int]:
    """How many images each later forward pass of the teacher has."""
    counts: list[int] = []
    work.teachers[0].register_forward_hook(lambda module, given, answer: counts.append(len(given[0])))
    return counts


def test_cached_equals_uncached_bit_for_bit(runs, tmp_path):
    views = {"data": replace(runs["kd"].stage.data, crop_padding=1, flip=False)}
    plain = train(kd(runs, tmp_path / "a", **views))
    work = replace(kd(runs, tmp_path / "b", **views), caches=[LogitsCache(100, 1, False)])
    counts = asked(work)
    cached = train(work)
    assert all(torch.equal(cached.tensors[name], value) for name, value in plain.tensors.items())
    assert [entry["networks"] for entry in cached.curve] == [entry["networks"] for entry in plain.curve]
    assert set(counts) == {25}
    assert 4 < len(counts) < 24


def test_what_was_asked_is_each_view_once(runs, tmp_path):
    cache = LogitsCache(100, 2, True)
    train(replace(kd(runs, tmp_path), caches=[cache]))
    seen = set()
    for epoch in range(6):
        draws = EpochRandomness.draw(1, epoch, 100, 2, True)
        seen |= {(i, draws.top[i], draws.left[i], draws.flip[i]) for i in range(100)}
    assert cache.known.shape == (100, 50)
    assert cache.known.sum() == len(seen)


def test_another_seed_asks_only_what_is_new_and_is_as_without(runs, tmp_path):
    cache = LogitsCache(100, 0, False)
    unmoved = {"data": replace(runs["kd"].stage.data, crop_padding=0, flip=False)}
    train(replace(kd(runs, tmp_path / "a", **unmoved), caches=[cache]))
    work = replace(kd(runs, tmp_path / "b", seed=2, **unmoved), caches=[cache])
    counts = asked(work)
    cached = train(work)
    assert counts == [25]  # once more, to count what an answer costs
    plain = train(kd(runs, tmp_path / "c", seed=2, **unmoved))
    assert all(torch.equal(cached.tensors[name], value) for name, value in plain.tensors.items())


def test_stopped_and_resumed_is_as_in_one_go(runs, tmp_path):
    whole = train(replace(kd(runs, tmp_path / "a"), caches=[LogitsCache(100, 2, True)]))
    first = Training(replace(kd(runs, tmp_path / "b"), caches=[LogitsCache(100, 2, True)]))
    for _ in range(3):
        first.one_epoch(Told(), lambda seconds: False)
    first.save()
    rest = train(replace(kd(runs, tmp_path / "b"), caches=[LogitsCache(100, 2, True)]))
    assert all(torch.equal(rest.tensors[name], value) for name, value in whole.tensors.items())


def test_each_of_several_teachers_has_its_own(runs, tmp_path):
    run, folder = runs["kd"], tmp_path
    one = run.teachers[0]
    stage = replace(run.stage, method=KD(temperature=3.0, soften="both"), teachers=run.stage.teachers * 2)
    run = replace(run, stage=stage, sources={"teacher": one, "teacher.2": replace(one, seed=2)})
    plain = train(kd({"kd": run}, folder / "a"))
    caches = [LogitsCache(100, 2, True), LogitsCache(100, 2, True)]
    cached = train(replace(kd({"kd": run}, folder / "b"), caches=caches))
    assert not torch.equal(caches[0].logits, caches[1].logits)
    assert all(torch.equal(cached.tensors[name], value) for name, value in plain.tensors.items())


def test_no_step_asks_the_teacher(runs, tmp_path):
    work = replace(kd(runs, tmp_path), caches=[LogitsCache(100, 2, True)])
    training = Training(work)
    training.begin(0, 4)
    counts = asked(work)
    training.mode(training=True)
    training.train_loop.run(4)
    assert counts == []


def test_a_part_of_an_epoch_asks_for_that_part(runs, tmp_path):
    cache = LogitsCache(100, 2, True)
    Training(replace(kd(runs, tmp_path), caches=[cache])).begin(0, 3)
    order = EpochRandomness.draw(1, 0, 100, 2, True).order
    assert np.flatnonzero(cache.known.any(1)).tolist() == sorted(order[:75])


def test_share_of_the_teachers_work_that_is_left() -> None:
    # Of 162 views (crops with a padding of 4, flips): 300 epochs of five seeds or of one, 30 of five or of one.
    assert num_views(4, True) == 162
    assert [round(expected_miss_rate(draws, 162), 2) for draws in (1500, 300, 150, 30)] == [0.11, 0.46, 0.65, 0.92]
    assert expected_miss_rate(7, 1) == pytest.approx(1 / 7)


@given(st.integers(1, 200), st.integers(1, 40))
def test_the_share_is_that_of_random_draws(epochs: int, views: int) -> None:
    draws = np.random.default_rng(0).integers(0, views, (2000, epochs))
    distinct = np.mean([len(set(row)) for row in draws])
    assert expected_miss_rate(epochs, views) == pytest.approx(distinct / epochs, rel=0.05)


def test_it_is_worthwhile_where_it_spares_work_and_fits(monkeypatch) -> None:
    monkeypatch.setattr(teacher_cache, "free_memory", lambda device: 16 * 10**9)
    assert is_worthwhile(300, 50_000, 162, 100, 1, CPU)
    assert is_worthwhile(30, 50_000, 162, 100, 1, CPU)
    assert not is_worthwhile(5, 50_000, 162, 100, 1, CPU)
    assert not is_worthwhile(300, 50_000, 162, 100, 2, CPU)
    monkeypatch.setattr(teacher_cache, "free_memory", lambda device: 8 * 10**9)
    assert not is_worthwhile(300, 50_000, 162, 100, 1, CPU)
