"""Training loops written apart from the engine, in float64, with PyTorch's own optimiser."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.build import fresh_networks
from bench.graph import Run
from bench.recipe import Data
from bench.train import artifacts
from bench.train.loader import EpochRandomness
from tests.train.tiny import images


def batches(data: Data, seed: int, epoch: int, batch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Images, labels and indices of the batches of an epoch, cut and flipped image by image with numpy."""
    pixels, labels = images(100, 1)
    pad = data.crop_padding
    padded = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    draws = EpochRandomness.draw(seed, epoch, 100, pad, data.flip)
    for start in range(0, 100, batch):
        chosen = draws.order[start : start + batch]
        crops = []
        for i in chosen:
            crop = padded[i, draws.top[i] : draws.top[i] + 32, draws.left[i] : draws.left[i] + 32]
            crops.append(crop[:, ::-1] if draws.flip[i] else crop)
        x = (np.stack(crops).astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
        shown = torch.from_numpy(x.astype(np.float64).transpose(0, 3, 1, 2).copy())
        yield shown, torch.from_numpy(labels[chosen]), torch.from_numpy(chosen)


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
        for x, y, _ in batches(run.stage.data, run.seed, epoch, 48):
            step(nets, optimizers, x, y)
    return nets


def descend(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def assert_same_weights(trained, nets):
    for k, net in enumerate(nets):
        torch.testing.assert_close(artifacts.weights(trained.tensors, k), net.state_dict(), rtol=1e-9, atol=1e-11)
