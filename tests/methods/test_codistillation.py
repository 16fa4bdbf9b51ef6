import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.base import Setup
from bench.methods.codistillation import Codistillation
from bench.methods.losses import state
from tests.methods.contract import outputs_of, softmax, terms

SIZES = {
    "seed": st.integers(0, 2**32),
    "networks": st.integers(2, 4),
    "n": st.integers(1, 6),
    "classes": st.integers(2, 6),
}


def parts_of(method: Codistillation, images: int, networks: int) -> nn.Module:
    labels = np.zeros(images, dtype=np.int64)
    return method.parts(Setup(5, (), labels, (3, 8, 8), [nn.Module()] * networks, [], np.random.default_rng(1)))


@pytest.mark.parametrize("shards", ["disjoint", "shared"])
@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_labels_and_the_mean_of_the_peers_on_the_own_images(
    shards: str, seed: int, networks: int, n: int, classes: int
) -> None:
    draws = np.random.default_rng(seed)
    z, y, owner = (
        draws.normal(0, 3, (networks, n, classes)),
        draws.integers(0, classes, n),
        draws.integers(0, networks, n),
    )
    method = Codistillation(weight=2.0, burn_in=0.25, shards=shards)
    for k in range(networks):
        own = [i for i in range(n) if shards == "shared" or owner[i] == k]
        ce = to_peers = 0.0
        for i in own:
            p = softmax(z[k, i])
            mean = np.mean([softmax(z[j, i]) for j in range(networks) if j != k], axis=0)
            ce -= math.log(p[y[i]]) / len(own)
            to_peers -= 2 * (mean * np.log(p)).sum() / len(own)
        found = terms(
            method,
            outputs_of(list(torch.from_numpy(z))),
            torch.from_numpy(y),
            k=k,
            progress=0.25,
            parts=state(owner=torch.from_numpy(owner)),
        )
        assert list(found) == ["ce", "peers"]
        assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
        assert found["peers"].item() == pytest.approx(to_peers, rel=1e-9)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.0), (0.49, 0.0), (0.5, math.log(2)), (0.9, math.log(2))])
def test_peers_count_when_the_burn_in_is_over(progress: float, expected: float) -> None:
    # Both say (1/2, 1/2): the cross entropy between them is log 2.
    method = Codistillation(weight=1.0, burn_in=0.5, shards="shared")
    found = terms(method, outputs_of([torch.zeros(3, 2)] * 2), torch.tensor([0, 1, 0]), progress=progress)
    assert found["peers"].item() == pytest.approx(expected)
    assert found["ce"].item() == pytest.approx(math.log(2))


def test_by_hand() -> None:
    # Network 0 owns the first image, of class 0, of which it says (1/4, 3/4): CE = log 4. Its peer says (1/2, 1/2), so
    # that the cross entropy to it is 1/2 log 4 + 1/2 log 4/3 = 0.836988. The second image is none of its business.
    own, peer = torch.tensor([[0.0, math.log(3)], [5.0, -5.0]]), torch.zeros(2, 2)
    method, parts = Codistillation(weight=1.0, burn_in=0.0, shards="disjoint"), state(owner=torch.tensor([0, 1]))
    found = terms(method, outputs_of([own, peer]), torch.tensor([0, 0]), parts=parts)
    assert found["ce"].item() == pytest.approx(math.log(4))
    assert found["peers"].item() == pytest.approx(0.836988, abs=1e-6)


def test_no_image_of_its_own_is_no_loss() -> None:
    method, parts = Codistillation(weight=1.0, burn_in=0.0, shards="disjoint"), state(owner=torch.tensor([1, 1]))
    logits = torch.zeros(2, 2, requires_grad=True)
    found = terms(method, outputs_of([logits, torch.ones(2, 2)]), torch.tensor([0, 1]), parts=parts)
    (found["ce"] + found["peers"]).backward()
    assert (found["ce"].item(), found["peers"].item()) == (0, 0)
    assert torch.equal(logits.grad, torch.zeros(2, 2))


@given(images=st.integers(4, 50), networks=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_shards_are_disjoint_even_and_the_same_each_time(images: int, networks: int) -> None:
    method = Codistillation(weight=1.0, burn_in=0.0, shards="disjoint")
    owner = parts_of(method, images, networks).owner
    sizes = torch.bincount(owner, minlength=networks)
    assert owner.shape == (images,)
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(owner, parts_of(method, images, networks).owner)
