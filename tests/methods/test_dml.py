import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.dml import DML
from tests.methods.contract import outputs_of, softmax, terms

SIZES = {
    "seed": st.integers(0, 2**32),
    "networks": st.integers(2, 4),
    "n": st.integers(1, 5),
    "classes": st.integers(2, 7),
}


def loss(k: int, logits: list[Tensor], labels: Tensor) -> dict[str, Tensor]:
    return terms(DML(), outputs_of(logits), labels, k=k)


def drawn(seed: int, networks: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all networks and labels."""
    draws = np.random.default_rng(seed)
    return draws.normal(0, 3, (networks, n, classes)), draws.integers(0, classes, n)


@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_ce_and_the_mean_of_the_kls_from_the_peers(seed: int, networks: int, n: int, classes: int) -> None:
    z, y = drawn(seed, networks, n, classes)
    for k in range(networks):
        ce = mutual = 0.0
        for i in range(n):
            p = softmax(z[k, i])
            ce += -math.log(p[y[i]]) / n
            for peer in set(range(networks)) - {k}:
                q = softmax(z[peer, i])
                mutual += sum(q[c] * math.log(q[c] / p[c]) for c in range(classes)) / (networks - 1) / n
        found = loss(k, list(torch.from_numpy(z)), torch.from_numpy(y))
        assert list(found) == ["ce", "mutual"]
        assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
        assert found["mutual"].item() == pytest.approx(mutual, rel=1e-9, abs=1e-12)


@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_the_gradient_in_closed_form(seed: int, networks: int, n: int, classes: int) -> None:
    # With respect to the own logits: (p - y) + (p - the mean of the peers' q), over n.
    z, y = drawn(seed, networks, n, classes)
    q = np.array([[softmax(row) for row in network] for network in z])
    expected = (2 * q[0] - np.eye(classes)[y] - q[1:].mean(axis=0)) / n
    logits = torch.from_numpy(z[0]).requires_grad_()
    torch.stack(list(loss(0, [logits, *torch.from_numpy(z[1:])], torch.from_numpy(y)).values())).sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-8, atol=1e-12)


def test_the_gradient_reaches_a_peer_that_is_not_detached() -> None:
    # What the update `joint` relies on: dKL(q || p) / dz = q (log q/p - KL), for the peer's logits z.
    z, _ = drawn(0, 2, 1, 3)
    q, p = softmax(z[1, 0]), softmax(z[0, 0])
    expected = q * (np.log(q / p) - (q * np.log(q / p)).sum())
    peer = torch.from_numpy(z[1]).requires_grad_()
    loss(0, [torch.from_numpy(z[0]), peer], torch.tensor([0]))["mutual"].backward()
    np.testing.assert_allclose(peer.grad.numpy()[0], expected, rtol=1e-9)


# Logits of p = (1/4, 3/4) and of p = (1/2, 1/2).
QUARTER = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
HALF = torch.zeros(1, 2, dtype=torch.float64)


def test_a_pair_by_hand() -> None:
    # Network 0 says (1/4, 3/4), network 1 (1/2, 1/2), the label is 0:
    #   CE = log 4, KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 log 2 + 1/2 log 2/3 = 0.143841
    #   CE = log 2, KL((1/4, 3/4) || (1/2, 1/2)) = 1/4 log 1/2 + 3/4 log 3/2 = 0.130812
    first, second = (loss(k, [QUARTER, HALF], torch.tensor([0])) for k in (0, 1))
    assert first["ce"].item() == pytest.approx(math.log(4))
    assert first["mutual"].item() == pytest.approx(0.143841, abs=1e-6)
    assert second["ce"].item() == pytest.approx(math.log(2))
    assert second["mutual"].item() == pytest.approx(0.130812, abs=1e-6)


def test_three_networks_average_the_kls() -> None:
    # Network 0's peers are one that says (1/2, 1/2), 0.143841 away as above, and one that agrees, 0 away.
    term = loss(0, [QUARTER, HALF, QUARTER], torch.tensor([0]))["mutual"]
    assert term.item() == pytest.approx(0.143841 / 2, abs=1e-6)


def test_a_peer_that_is_certain_gives_finite_numbers() -> None:
    own, peer = torch.zeros(1, 2, requires_grad=True), torch.tensor([[0.0, 1e4]], requires_grad=True)
    term = loss(0, [own, peer], torch.tensor([0]))["mutual"]
    assert term.item() == pytest.approx(math.log(2))
    term.backward()
    torch.testing.assert_close(own.grad, torch.tensor([[0.5, -0.5]]))
    torch.testing.assert_close(peer.grad, torch.zeros(1, 2))


def test_bf16_logits_are_upcast_before_the_softmax() -> None:
    logits = list(torch.tensor([[[0.5, -3.0, 2.0]], [[1.0, 4.0, -0.25]]], dtype=torch.bfloat16))  # exact in bf16
    exact = loss(0, [z.double() for z in logits], torch.tensor([0]))
    for name, term in loss(0, logits, torch.tensor([0])).items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(exact[name].item(), rel=1e-6)


def test_float64_stays() -> None:
    assert {term.dtype for term in loss(0, [QUARTER, HALF], torch.tensor([0])).values()} == {torch.float64}
