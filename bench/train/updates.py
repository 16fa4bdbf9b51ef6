"""How the networks of a group are updated, for every method alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.networks.modules.base import Output

Forward = Callable[[nn.Module], Output]
Loss = Callable[[int, Sequence[Output]], Tensor]
Update = Callable[[Sequence[nn.Module], Sequence[torch.optim.Optimizer], Forward, Loss], Sequence[Output]]
"""Updates every network; gives what each of them said of the batch before its own step."""


def sequential(
    networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], forward: Forward, loss: Loss
) -> Sequence[Output]:
    """Step one network, predict with it again, step the next (Zhang et al., algorithm 1).

    The second prediction is the updated network's, on batch statistics, and leaves its running statistics alone: each
    batch counts once. Later networks have not changed in between, so that their first prediction still stands.
    """
    first = [forward(network) for network in networks]
    outputs = [*first]
    for k, (network, optimizer) in enumerate(zip(networks, optimizers, strict=True)):
        step(optimizer, loss(k, _peers_detached(outputs, k)))
        if k + 1 < len(networks):
            with torch.no_grad(), untouched_statistics(network):
                outputs[k] = forward(network)
    return first


def simultaneous(
    networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], forward: Forward, loss: Loss
) -> Sequence[Output]:
    """All networks step from the same predictions, each for its own loss."""
    outputs = [forward(network) for network in networks]
    losses = [loss(k, _peers_detached(outputs, k)) for k in range(len(networks))]
    for optimizer, own in zip(optimizers, losses, strict=True):
        step(optimizer, own)
    return outputs


def joint(
    networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], forward: Forward, loss: Loss
) -> Sequence[Output]:
    """One loss, the sum over the networks; gradients flow into the peers too."""
    outputs = [forward(network) for network in networks]
    for optimizer in optimizers:
        _forget_gradients(optimizer)
    _backward(torch.stack([loss(k, outputs) for k in range(len(networks))]).sum())
    for optimizer in optimizers:
        optimizer.step()
    return outputs


UPDATES: Mapping[str, Update] = {"sequential": sequential, "simultaneous": simultaneous, "joint": joint}


@contextmanager
def untouched_statistics(network: nn.Module) -> Iterator[None]:
    """Batch statistics are used, as in training, but the running ones are neither read nor moved."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _peers_detached(outputs: Sequence[Output], k: int) -> list[Output]:
    return [output if j == k else _detached(output) for j, output in enumerate(outputs)]


def _detached(output: Output) -> Output:
    return Output(output.logits.detach(), {name: feature.detach() for name, feature in output.features.items()})


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Update what an optimiser has by the gradient of a scalar."""
    _forget_gradients(optimizer)
    _backward(loss)
    optimizer.step()


def _forget_gradients(optimizer: torch.optim.Optimizer) -> None:
    """As its ``zero_grad`` does, which takes ten times as long where parameters are few."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def _backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
