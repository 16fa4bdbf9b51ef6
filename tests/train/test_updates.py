from collections.abc import Sequence
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.networks.modules.base import BatchNorm, NetworkModule, Output
from bench.train.updates import UPDATES, Forward, Loss, untouched_statistics

LR, STEPS = 0.1, 3
NAMES = list(UPDATES)
LABELS = torch.tensor([0, 1, 2, 1, 0, 2])


class Tiny(NetworkModule):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(2, 4, 3, bias=False), BatchNorm(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Output:
        pool = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return Output(self.linear(pool), {"pool": pool})


def group(count: int) -> list[Tiny]:
    """Networks of different weights, in float64."""
    draws, networks = torch.Generator().manual_seed(1), [Tiny().double() for _ in range(count)]
    with torch.no_grad():
        for parameter in (p for network in networks for p in network.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=draws, dtype=torch.float64))
    return networks


def images(step: int) -> Tensor:
    return torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(100 + step), dtype=torch.float64)


def own_and_peers(own: Tensor, peers: Sequence[Tensor]) -> Tensor:
    """A loss of one network that depends on its peers: cross entropy and a KL from each."""
    log_p = functional.log_softmax(own, dim=1)
    kls = [(q.softmax(1) * (q.log_softmax(1) - log_p)).sum(1).mean() for q in peers]
    return functional.cross_entropy(own, LABELS) + sum(kls)


def loss(k: int, outputs: Sequence[Output]) -> Tensor:
    return own_and_peers(outputs[k].logits, [output.logits for j, output in enumerate(outputs) if j != k])


def take_step(name: str, networks: Sequence[Tiny], x: Tensor, loss: Loss = loss) -> None:
    optimizers = [torch.optim.SGD(network.parameters(), lr=LR) for network in networks]
    forward: Forward = lambda network: network(x)  # noqa: E731
    UPDATES[name](networks, optimizers, forward, loss)


# The same by hand: gradients asked for by name, parameters moved one by one, statistics copied back.


def descend(network: Tiny, value: Tensor) -> None:
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(value, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(LR * gradient)


def predict_again(network: Tiny, x: Tensor) -> Tensor:
    kept = network.norm.running_mean.clone(), network.norm.running_var.clone()
    logits = network(x).logits.detach()
    network.norm.running_mean.copy_(kept[0])
    network.norm.running_var.copy_(kept[1])
    return logits


def sequential_by_hand(networks: Sequence[Tiny], x: Tensor) -> None:
    seen = [predict_again(network, x) for network in networks]
    for k, network in enumerate(networks):
        descend(network, own_and_peers(network(x).logits, seen[:k] + seen[k + 1 :]))
        seen[k] = predict_again(network, x)


def simultaneous_by_hand(networks: Sequence[Tiny], x: Tensor) -> None:
    seen = [predict_again(network, x) for network in networks]
    for k, network in enumerate(networks):
        descend(network, own_and_peers(network(x).logits, seen[:k] + seen[k + 1 :]))


def joint_by_hand(networks: Sequence[Tiny], x: Tensor) -> None:
    logits = [network(x).logits for network in networks]
    total = sum(own_and_peers(z, logits[:k] + logits[k + 1 :]) for k, z in enumerate(logits))
    parameters = [parameter for network in networks for parameter in network.parameters()]
    gradients = torch.autograd.grad(total, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(LR * gradient)


BY_HAND = {"sequential": sequential_by_hand, "simultaneous": simultaneous_by_hand, "joint": joint_by_hand}


def assert_same(networks: Sequence[Tiny], others: Sequence[Tiny], **tolerance: float) -> None:
    for network, other in zip(networks, others, strict=True):
        torch.testing.assert_close(network.state_dict(), other.state_dict(), **tolerance)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_statistics_are_those_of_a_plain_loop(name: str, count: int) -> None:
    networks, others = group(count), group(count)
    for step in range(STEPS):
        take_step(name, networks, images(step))
        BY_HAND[name](others, images(step))
    assert_same(networks, others, rtol=1e-12, atol=1e-12)


def test_the_three_differ_for_a_pair() -> None:
    # Else the test above would prove little.
    first: dict[str, Tensor] = {}
    for name in NAMES:
        networks = group(2)
        take_step(name, networks, images(0))
        first[name] = networks[1].linear.weight.detach()
    assert not torch.allclose(first["sequential"], first["simultaneous"], rtol=1e-3)
    assert not torch.allclose(first["joint"], first["simultaneous"], rtol=1e-3)


def test_a_single_network_gives_the_same_under_all_three() -> None:
    results = []
    for name in NAMES:
        networks = group(1)
        for step in range(STEPS):
            take_step(name, networks, images(step))
        results.append(networks)
    for other in results[1:]:
        assert_same(results[0], other, rtol=0, atol=0)


def recording(seen: dict[int, list[Tensor]]) -> Loss:
    def recorded(k: int, outputs: Sequence[Output]) -> Tensor:
        seen[k] = [output.logits.detach().clone() for output in outputs]
        return loss(k, outputs)

    return recorded


def test_sequential_shows_later_networks_what_the_updated_ones_say() -> None:
    networks, x = group(3), images(0)
    before = [network(x).logits.detach() for network in deepcopy(networks)]
    seen: dict[int, list[Tensor]] = {}
    take_step("sequential", networks, x, recording(seen))
    after = [network(x).logits.detach() for network in networks]
    for k in range(3):
        for j in range(3):
            torch.testing.assert_close(seen[k][j], after[j] if j < k else before[j], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["simultaneous", "joint"])
def test_all_losses_see_the_same_predictions(name: str) -> None:
    networks, x = group(3), images(0)
    before = [network(x).logits.detach() for network in deepcopy(networks)]
    seen: dict[int, list[Tensor]] = {}
    take_step(name, networks, x, recording(seen))
    for k in range(3):
        torch.testing.assert_close(seen[k], before, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_running_statistics_move_once_a_step(name: str) -> None:
    networks, x = group(3), images(0)
    means = [network.conv(x).mean((0, 2, 3)).detach() for network in networks]
    take_step(name, networks, x)
    for network, mean in zip(networks, means, strict=True):
        torch.testing.assert_close(network.norm.running_mean, network.norm.momentum * mean)


def of_the_peers_alone(k: int, outputs: Sequence[Output]) -> Tensor:
    peers = [v for j, out in enumerate(outputs) if j != k for v in (out.logits, out.features["pool"])]
    return sum((peer.square().sum() for peer in peers), start=0 * outputs[k].logits.sum())


@pytest.mark.parametrize(("name", "reached"), [("sequential", False), ("simultaneous", False), ("joint", True)])
def test_only_joint_lets_gradients_into_the_peers(name: str, reached: bool) -> None:
    networks, x = group(2), images(0)
    before = deepcopy(networks)
    take_step(name, networks, x, of_the_peers_alone)
    moved = [
        not torch.equal(parameter, old)
        for network, other in zip(networks, before, strict=True)
        for parameter, old in zip(network.parameters(), other.parameters(), strict=True)
    ]
    assert all(moved) if reached else not any(moved)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_an_earlier_step_do_not_count(name: str) -> None:
    networks, others = group(2), group(2)
    for parameter in (p for network in networks for p in network.parameters()):
        parameter.grad = torch.ones_like(parameter)
    for each in (networks, others):
        take_step(name, each, images(0))
    assert_same(networks, others, rtol=0, atol=0)


def test_untouched_statistics_are_tracked_again_afterwards() -> None:
    network = group(1)[0]

    def fail() -> None:
        with untouched_statistics(network):
            network(images(0))
            raise ValueError

    before = deepcopy(network)
    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert_same([network], [before], rtol=0, atol=0)
    network(images(0))
    assert not torch.equal(network.norm.running_mean, before.norm.running_mean)
