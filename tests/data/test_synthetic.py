import numpy as np
import pytest
import torch
from torch import nn

from bench.registry import SETS
from bench.train.loader import normalise

SYNTHETIC = sorted(name for name in SETS if name.startswith("synthetic"))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_every_machine_makes_the_bytes_of_the_fingerprint(name):
    images = SETS[name].load(None)  # refuses any other fingerprint than the registry's
    entry = SETS[name]
    assert images.train_x.shape == (entry.train, entry.size, entry.size, entry.channels)
    for labels in (images.train_y, images.test_y):
        counts = np.bincount(labels, minlength=entry.classes)
        assert counts.min() == counts.max()


@pytest.mark.parametrize(("name", "width", "above"), [("synthetic10", 8, 0.5), ("synthetic100", 16, 0.1)])
def test_a_small_network_learns_it_quickly(name, width, above):
    images = SETS[name].load(None)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32 * width, SETS[name].classes),
    )  # fmt: skip
    half = torch.full((3 * 32 * 32,), 0.5)
    x, y = normalise(torch.from_numpy(images.train_x).permute(0, 3, 1, 2), half, half), torch.from_numpy(images.train_y)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(100):
        batch = torch.randint(len(y), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimiser.step()
    net.eval()
    test_x = normalise(torch.from_numpy(images.test_x).permute(0, 3, 1, 2), half, half)
    assert (net(test_x).argmax(1).numpy() == images.test_y).mean() > above
