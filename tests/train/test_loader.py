from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as reference

from bench.recipe import Data
from bench.train.loader import DeviceLoader, EpochRandomness, crop, normalise, pad
from tests.operations import READING, Operations


def random_images(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8)


def loader_of(
    images: torch.Tensor, device: str = "cpu", dtype=torch.float32, *, augment=True, **changed
) -> DeviceLoader:
    channels = images.shape[3]
    mean, std = (0.4914, 0.4822, 0.4465)[:channels], (0.2023, 0.1994, 0.2010)[:channels]
    data = replace(Data("cifar10", "all", "all", 0, "constant", False, mean, std), **changed)
    return DeviceLoader(images.numpy(), np.arange(len(images)) % 7, data, torch.device(device), dtype, augment=augment)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize(("size", "channels", "padding"), [(32, 3, 4), (28, 1, 2), (32, 3, 0)])
def test_augmentation_is_torchvisions(mode, mirrored, size, channels, padding):
    images = random_images(6, size, size, channels)
    loader = loader_of(images, crop_padding=padding, padding_mode=mode, flip=mirrored)
    top = np.array([0, 2 * padding, padding, 1, 0, 2]).clip(max=2 * padding)
    left = np.array([2 * padding, 0, padding, 0, 1, 1]).clip(max=2 * padding)
    flip = np.array([True, False, False, True, True, False]) & mirrored
    loader.begin_epoch(EpochRandomness(np.array([3, 0, 5, 1, 4, 2]), top, left, flip))
    ours, labels, indices = loader.batch(torch.arange(5))
    assert (indices.tolist(), labels.tolist()) == ([3, 0, 5, 1, 4], [3, 0, 5, 1, 4])
    for shown, i in zip(ours, indices.tolist(), strict=True):
        image = reference.to_pil_image(images[i].permute(2, 0, 1))
        image = reference.pad(image, [padding], padding_mode=mode)
        image = reference.crop(image, int(top[i]), int(left[i]), size, size)
        image = reference.to_tensor(reference.hflip(image) if flip[i] else image)
        mean, std = (own[:channels].tolist() for own in (loader.mean, loader.std))
        assert torch.equal(shown, reference.normalize(image, mean, std))


@pytest.mark.parametrize("limit", ["MOST_NORMALISED", "free_memory"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalised_once_or_in_every_step_is_the_same(dtype, limit, monkeypatch):
    images, chosen = random_images(6, 28, 28, 1), torch.tensor([5, 0, 2])
    once = loader_of(images, dtype=dtype)
    size = once.padded.numel() * dtype.itemsize
    less = {"MOST_NORMALISED": size - 1, "free_memory": lambda device: 16 * size - 1}
    monkeypatch.setattr(f"bench.train.loader.{limit}", less[limit])
    each = loader_of(images, dtype=dtype)
    assert (once.padded.dtype, each.padded.dtype) == (dtype, torch.uint8)
    both = [loader.batch(chosen) for loader in (once, each)]
    assert both[0][0].stride() == both[1][0].stride()
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


@pytest.mark.parametrize("padding", [0, 2])
def test_places_are_a_slice_or_a_tensor(padding):
    loader = loader_of(random_images(9, 8, 8, 3), crop_padding=padding, flip=padding > 0)
    loader.begin_epoch(EpochRandomness.draw(1, 0, 9, padding, padding > 0))
    both = [loader.batch(places) for places in (slice(3, 8), torch.arange(3, 8))]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


def test_padding_of_images_that_are_not_square():
    images = random_images(2, 5, 9, 2)
    for mode in ("constant", "reflect"):
        expected = reference.pad(images.permute(0, 3, 1, 2), [3], padding_mode=mode).permute(0, 2, 3, 1)
        assert torch.equal(pad(images, 3, mode), expected)


def test_views_lie_in_channels_last_memory():
    padded, zeros = pad(random_images(4, 32, 32, 3), 4, "constant"), torch.zeros(4, dtype=torch.int64)
    views = crop(padded, torch.arange(4), zeros, zeros, 32)
    assert views.dtype == torch.uint8
    assert views.shape == (4, 3, 32, 32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    half = torch.full((32 * 32 * 3,), 0.5)
    floats = normalise(views, half, half, torch.bfloat16)
    assert floats.dtype == torch.bfloat16
    assert floats.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_view_can_be_captured_in_a_cuda_graph():
    loader, positions = (
        loader_of(random_images(64, 32, 32, 3), "cuda", crop_padding=4, flip=True),
        torch.arange(16).cuda(),
    )
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured, _, _ = loader.batch(positions)
    loader.begin_epoch(EpochRandomness.draw(1, 0, 64, 4, True))
    expected, _, _ = loader.batch(positions)
    graph.replay()
    assert torch.equal(captured, expected)


def test_draws_belong_to_seed_and_epoch_and_stay_in_range():
    draws = EpochRandomness.draw(seed=1, epoch=2, n=2000, padding=4, flip=True)
    again, later, other = (
        EpochRandomness.draw(1, 2, 2000, 4, True),
        EpochRandomness.draw(1, 3, 2000, 4, True),
        EpochRandomness.draw(2, 2, 2000, 4, True),
    )
    for key in ("order", "top", "left", "flip"):
        np.testing.assert_array_equal(getattr(draws, key), getattr(again, key))
        assert not np.array_equal(getattr(draws, key), getattr(later, key))
        assert not np.array_equal(getattr(draws, key), getattr(other, key))
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(2000))
    assert (draws.order.dtype, draws.top.dtype, draws.flip.dtype) == (np.int64, np.int64, np.bool_)
    assert set(draws.top) == set(draws.left) == set(range(9))
    assert 0.45 < draws.flip.mean() < 0.55
    assert abs(np.corrcoef(draws.top, draws.left)[0, 1]) < 0.1


def test_no_padding_and_no_flips_leave_the_other_draws_as_they_are():
    plain, full = EpochRandomness.draw(1, 0, 50, 0, False), EpochRandomness.draw(1, 0, 50, 4, True)
    assert not plain.top.any()
    assert not plain.left.any()
    assert not plain.flip.any()
    np.testing.assert_array_equal(plain.order, full.order)


def test_no_value_of_a_batch_comes_back_to_the_host():
    data = Data("cifar10", "all", "all", 4, "reflect", True, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    images, labels = random_images(20, 32, 32, 3).numpy(), np.arange(20)
    loader = DeviceLoader(images, labels, data, torch.device("cpu"), torch.float32, augment=True)
    loader.begin_epoch(EpochRandomness.draw(1, 0, 20, 4, True))
    with Operations() as operations:
        shown, own, indices = loader.batch(torch.arange(8))
    assert operations.names & READING == set()
    assert "aten::index" in operations.names
    assert (shown.shape, shown.dtype) == ((8, 3, 32, 32), torch.float32)
    assert torch.equal(own, indices)
    assert indices.tolist() == EpochRandomness.draw(1, 0, 20, 4, True).order[:8].tolist()
