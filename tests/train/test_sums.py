"""Both kinds of sums against each other, to the bit, and against sums made by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.train.sums import DeviceSums, HostSums, Sums, make_sums

CPU = torch.device("cpu")
KINDS = {"device": lambda: DeviceSums(CPU), "host": HostSums}
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def added(sums: Sums, values: Sequence[tuple[float, int]]) -> float:
    for value, times in values:
        sums.add("x", torch.tensor(value, dtype=torch.float32), times)
    return float(sums.read()["x"])


@given(st.lists(st.tuples(FLOATS, st.integers(1, 2**24)), min_size=1, max_size=30))
def test_both_kinds_add_up_to_the_same_bits(values: list[tuple[float, int]]) -> None:
    on_device, on_host = (added(make(), values) for make in KINDS.values())
    assert np.float64(on_device).tobytes() == np.float64(on_host).tobytes() or np.isnan([on_device, on_host]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
@pytest.mark.parametrize("kind", KINDS)
def test_scalars_and_arrays_of_any_type_by_hand(kind: str, dtype: torch.dtype) -> None:
    sums = KINDS[kind]()
    for value in (1, 2):
        sums.add("scalar", torch.tensor(value, dtype=dtype), 3)
        sums.add("array", torch.tensor([[value, 4]], dtype=dtype))
    read = sums.read()
    assert {name: (own.dtype, own.tolist()) for name, own in read.items()} == {
        "scalar": (np.float64, 9.0),
        "array": (np.float64, [[3.0, 8.0]]),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_of_a_loss_needs_no_gradient_afterwards(kind: str) -> None:
    sums, weight = KINDS[kind](), torch.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        sums.add("ce", weight.square().sum())
        sums.add("each", weight * 2)
        sums.hits("hits", weight[None], torch.tensor([1]))
    assert not any(tensor.requires_grad for tensor in sums.tensors)
    assert {name: own.tolist() for name, own in sums.read().items()} == {"ce": 10, "each": [4, 8], "hits": 2}


@pytest.mark.parametrize("kept", [1, 7, 10**9])
@pytest.mark.parametrize("kind", KINDS)
def test_hits_are_all_counted_however_many_logits_are_kept(
    kind: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.train.sums.LOGITS_KEPT", kept)
    sums, draws, expected = KINDS[kind](), torch.Generator().manual_seed(0), 0
    for size in (4, 4, 3, 1):
        logits, labels = torch.randn(size, 3, generator=draws), torch.randint(3, (size,), generator=draws)
        sums.hits("0.hits", logits, labels)
        sums.hits("1.hits", logits, logits.argmax(1))
        expected += sum(int(labels[i]) == max(range(3), key=lambda c, i=i: float(logits[i, c])) for i in range(size))
    assert {name: own.tolist() for name, own in sums.read().items()} == {"0.hits": expected, "1.hits": 12}
    assert sums.read()["1.hits"] == 12  # reading counts nothing twice


@pytest.mark.parametrize("kind", KINDS)
def test_they_begin_again_and_go_on_from_what_was_read(kind: str) -> None:
    sums, logits = KINDS[kind](), torch.tensor([[0.0, 1.0]])
    sums.add("x", torch.tensor(1.5))
    sums.hits("hits", logits, torch.tensor([1]))
    told = {name: own.tolist() for name, own in sums.read().items()}
    sums.hits("hits", logits, torch.tensor([1]))
    sums.zero()
    assert {name: float(own) for name, own in sums.read().items()} == {"x": 0, "hits": 0}
    sums.restore(told)
    sums.add("x", torch.tensor(1.0))
    sums.hits("hits", logits, torch.tensor([0]))
    assert {name: float(own) for name, own in sums.read().items()} == {"x": 2.5, "hits": 1}


def test_the_host_keeps_its_sums_where_it_is_the_device(request: pytest.FixtureRequest) -> None:
    assert isinstance(make_sums(CPU), HostSums)
    assert [*make_sums(CPU).tensors] == []
    request.getfixturevalue("as_on_a_device")
    assert isinstance(make_sums(CPU), DeviceSums)
