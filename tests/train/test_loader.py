import numpy as np
import pytest
import torch
from torchvision.transforms import functional as reference

from bench.recipe import Data
from bench.train.loader import DeviceLoader, EpochRandomness, crop_and_flip, normalise, pad
from tests.operations import READING, Operations


def random_images(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize(("size", "channels", "padding"), [(32, 3, 4), (28, 1, 2), (32, 3, 0)])
def test_augmentation_is_torchvisions(mode, size, channels, padding):
    images = random_images(6, size, size, channels)
    index = torch.tensor([3, 0, 5, 5, 1])
    top = torch.tensor([0, 2 * padding, padding, 1, 0]).clamp(max=2 * padding)
    left = torch.tensor([2 * padding, 0, padding, 0, 1]).clamp(max=2 * padding)
    flip = torch.tensor([True, False, False, True, True])
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465][:channels]), torch.tensor([0.2023, 0.1994, 0.2010][:channels])

    ours = crop_and_flip(pad(images, padding, mode), index, top, left, flip, size)
    for k, i in enumerate(index):
        image = reference.to_pil_image(images[i].permute(2, 0, 1))
        image = reference.pad(image, [padding], padding_mode=mode)
        image = reference.crop(image, int(top[k]), int(left[k]), size, size)
        image = reference.to_tensor(reference.hflip(image) if flip[k] else image)
        assert torch.equal(ours[k].float() / 255, image)
        assert torch.equal(normalise(ours, mean, std)[k], reference.normalize(image, mean.tolist(), std.tolist()))


def test_padding_of_images_that_are_not_square():
    images = random_images(2, 5, 9, 2)
    for mode in ("constant", "reflect"):
        expected = reference.pad(images.permute(0, 3, 1, 2), [3], padding_mode=mode).permute(0, 2, 3, 1)
        assert torch.equal(pad(images, 3, mode), expected)


def test_views_lie_in_channels_last_memory():
    padded, zeros = pad(random_images(4, 32, 32, 3), 4, "constant"), torch.zeros(4, dtype=torch.int64)
    views = crop_and_flip(padded, torch.arange(4), zeros, zeros, zeros.bool(), 32)
    assert views.dtype == torch.uint8
    assert views.shape == (4, 3, 32, 32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    half = torch.full((3,), 0.5)
    floats = normalise(views, half, half, torch.bfloat16)
    assert floats.dtype == torch.bfloat16
    assert floats.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_view_can_be_captured_in_a_cuda_graph():
    padded = pad(random_images(64, 32, 32, 3).cuda(), 4, "reflect")
    index, top, left = (torch.randint(0, 9, (16,), device="cuda") for _ in range(3))
    flip, half = index > 4, torch.full((3,), 0.5, device="cuda")
    expected = normalise(crop_and_flip(padded, index, top, left, flip, 32), half, half)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = normalise(crop_and_flip(padded, index, top, left, flip, 32), half, half)
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
    assert torch.equal(indices, loader.order[:8])
