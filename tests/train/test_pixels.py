"""Sets whose pixels have labels: each pixel is a sample of the loss, of the metrics and of what is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.build import fresh_networks, make_job
from bench.graph import Run, plan
from bench.methods.kd import KD
from bench.recipe import load
from bench.record import from_json, to_json
from bench.train import artifacts
from bench.train.engine import Training
from bench.train.fidelity import fidelity
from bench.train.job import Job
from bench.train.loader import DeviceLoader, EpochRandomness
from bench.train.results import ensembles
from bench.train.teacher_cache import LogitsCache
from tests import handmade
from tests.operations import READING, Operations
from tests.train.tiny import CPU, train

REPO = Path(__file__).parents[2]
SIZE, CLASSES, TRAIN, TEST = 8, 6, 12, 6


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """The first seed of each row of the table of segmentation."""
    graph = plan(load(REPO / "recipes"), ["survey-segmentation"], "paper", seeds=[1])
    return {row: by_seed[1] for (_, row), by_seed in graph.rows.items()}


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    return (
        draws.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8),
        draws.integers(0, CLASSES, (count, SIZE, SIZE)),
    )


def job(run: Run, folder: Path) -> Job:
    """Two epochs in float64 of batches that divide the set; teachers have fresh weights."""
    schedule = replace(run.stage.schedule, epochs=2, batch=4)
    run = replace(run, stage=replace(run.stage, precision="float64", schedule=schedule))
    data = run.stage.data
    loaders = (
        DeviceLoader(*images(TRAIN, 1), data, CPU, torch.float64, augment=True),
        DeviceLoader(*images(TEST, 2), data, CPU, torch.float64, augment=False),
    )
    teachers = [fresh_networks(teacher)[0] for teacher in run.teachers]
    return make_job(run, fresh_networks(run), teachers, *loaders, CPU, folder / "checkpoint.safetensors", {})


def test_labels_are_cropped_and_mirrored_as_their_images_are() -> None:
    # Each pixel's label is its own grey level.
    labels = np.arange(3 * SIZE * SIZE).reshape(3, SIZE, SIZE) % 251
    pixels = labels[..., None].repeat(3, axis=3).astype(np.uint8)
    data = load(REPO / "recipes").table("survey-segmentation").rows["kd"].stages[0].data
    data = replace(data, crop_padding=2, padding_mode="reflect", mean=(0.0,) * 3, std=(1.0,) * 3)
    loader = DeviceLoader(pixels, labels, data, CPU, torch.float64, augment=True)
    top, left, flip = np.array([0, 4, 1]), np.array([3, 0, 4]), np.array([True, False, True])
    loader.begin_epoch(EpochRandomness(np.array([2, 0, 1]), top, left, flip))
    seen, of_pixels, indices = loader.batch(torch.arange(3))
    assert indices.tolist() == [2, 0, 1]
    assert loader.labels_each == SIZE * SIZE
    assert torch.equal((seen[:, 0] * 255).round().long().reshape(-1), of_pixels)
    assert not torch.equal(of_pixels.reshape(3, SIZE, SIZE), torch.from_numpy(labels[[2, 0, 1]]))


def test_what_an_epoch_measures_is_what_its_networks_say(runs: dict[str, Run], tmp_path: Path) -> None:
    made = job(runs["baseline"], tmp_path)
    outcome = train(made)
    _, y = images(TEST, 2)
    network = made.networks[0].eval()
    with torch.no_grad():
        logits = network(made.test.batch(torch.arange(TEST))[0]).logits
    guessed = logits.argmax(1).numpy()
    (entry,), (result,) = outcome.curve[-1]["networks"], outcome.results
    assert entry["test_error"] == pytest.approx(100 * (guessed != y).mean(), abs=1e-4)
    pairs = [((guessed == c) & (y == c), (guessed == c) | (y == c)) for c in range(CLASSES)]
    iou = 100 * np.mean([both.sum() / either.sum() for both, either in pairs])
    assert entry["test_scores"] == {"mean_iou": pytest.approx(iou, abs=1e-4)}
    assert result.scores["mean_iou"]["last"] == entry["test_scores"]["mean_iou"]
    assert result.scores["mean_iou"]["best"] == max(e["networks"][0]["test_scores"]["mean_iou"] for e in outcome.curve)
    kept = artifacts.logits(outcome.tensors)
    assert kept.shape == (TEST * SIZE * SIZE, CLASSES)
    assert torch.equal(kept, logits.permute(0, 2, 3, 1).reshape(-1, CLASSES).half())


def test_a_loss_is_the_mean_over_the_pixels(runs: dict[str, Run], tmp_path: Path) -> None:
    made = job(runs["kd"], tmp_path)
    training = Training(made)
    training.begin(0, 1)
    batch = made.train.batch(torch.arange(4))
    student, teacher = made.networks[0].train()(batch[0]).logits, made.teachers[0].eval()(batch[0]).logits
    ce = torch.nn.functional.cross_entropy(student, batch[1].reshape(4, SIZE, SIZE))
    log_s, log_t = student.log_softmax(1), teacher.log_softmax(1)
    kl = (log_t.exp() * (log_t - log_s)).sum(1).mean()
    training.mode(training=True)
    training.train_loop.run(1)
    shown = 4 * SIZE * SIZE
    terms = {name: total.item() / shown for name, total in training.sums.read().items() if "hits" not in name}
    assert terms == {"0.ce": pytest.approx(ce.item()), "0.kd": pytest.approx(kl.item())}
    assert isinstance(made.method, KD)


def test_cached_pixels_are_those_of_the_teacher(runs: dict[str, Run], tmp_path: Path) -> None:
    plain = train(job(runs["kd"], tmp_path / "a"))
    cached = train(replace(job(runs["kd"], tmp_path / "b"), caches=[LogitsCache(TRAIN, 0, True)]))
    assert cached.cached
    assert all(torch.equal(cached.tensors[name], tensor) for name, tensor in plain.tensors.items())
    assert [e["networks"] for e in cached.curve] == [e["networks"] for e in plain.curve]


@pytest.mark.parametrize("row", ["teacher", "kd", "structured"])
def test_every_row_learns_what_it_is_shown(runs: dict[str, Run], tmp_path: Path, row: str) -> None:
    outcome = train(job(runs[row], tmp_path))
    losses = [sum(entry["networks"][0]["loss"].values()) for entry in outcome.curve]
    assert outcome.status == "done"
    assert losses[1] < losses[0]


def test_fidelity_and_ensembles_are_of_pixels(runs: dict[str, Run], tmp_path: Path) -> None:
    labels = images(TEST, 2)[1].reshape(-1)
    logits = artifacts.logits(train(job(runs["baseline"], tmp_path)).tensors).numpy()
    assert fidelity(logits, labels, logits)["agreement"] == 100.0
    found = ensembles({1: logits, 2: logits}, labels, 2, runs["baseline"].stage.metric)
    alone = ensembles({1: logits}, labels, 1, runs["baseline"].stage.metric)
    assert found.results == alone.results
    assert found.curve[0]["test_scores"] == {"mean_iou": found.results[0].scores["mean_iou"]["last"]}


def test_a_record_has_its_scores_and_comes_back(runs: dict[str, Run], tmp_path: Path) -> None:
    outcome = train(job(runs["baseline"], tmp_path))
    run = runs["baseline"]
    assert run.recipe["metric"] == {"name": "mean_iou", "params": {}}
    assert run.versions["metric mean_iou"] == 1
    record = handmade.record(run, results=outcome.results, curve=outcome.curve)
    assert from_json(to_json(record), "record.json") == record
    assert "scores" not in to_json(handmade.record(run))


@pytest.mark.usefixtures("as_on_a_device")
def test_no_value_of_an_evaluation_comes_back_to_the_host(runs: dict[str, Run], tmp_path: Path) -> None:
    training = Training(job(runs["structured"], tmp_path))
    training.begin(0, 1)
    with Operations() as operations:
        training.train_loop.run(1)
        training.test_loop.run(1)
    assert operations.names & READING == set()
    assert training.sums.read()["0.test.mean_iou.hit"].shape == (CLASSES,)
