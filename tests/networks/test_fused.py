"""Normalisation, residual sum and ReLU, by PyTorch and by the kernels for CUDA, against float64.

Without CUDA, the kernels run in Triton's interpreter: in a process of its own, for Triton asks once, on its import.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.networks.modules.base import BatchNorm, fuses

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu")
Operation = Callable[..., Tensor]

# (N, C, H, W): around the sizes of tiles and blocks of channels; the smaller last batch of CIFAR; programs with more
# than one tile.
SHAPES = [
    (2, 3, 5, 7),
    (3, 16, 9, 9),
    (2, 64, 1, 7),
    (5, 65, 3, 3),
    (2, 130, 8, 5),
    (80, 4, 8, 8),
    (9, 16, 32, 32),
    (9, 64, 32, 32),
]
CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.bfloat16: {"rtol": 1e-2, "atol": 1e-2}}


def reference(norm: BatchNorm, x: Tensor, residual: Tensor | None, *, relu: bool) -> Tensor:
    return norm.cpu()(x.cpu(), None if residual is None else residual.cpu(), relu=relu)


def fast(norm: BatchNorm, x: Tensor, residual: Tensor | None, *, relu: bool) -> Tensor:
    from bench.networks.modules import fused

    return fused.batch_norm(norm.to(DEVICE), x, residual, relu=relu)


here = pytest.mark.skipif(not INTERPRETED and DEVICE.type == "cpu", reason="kernels need CUDA, or Triton's interpreter")
both = pytest.mark.parametrize("operation", [reference, pytest.param(fast, marks=here)])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def drawn(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values.to(DEVICE, dtype, memory_format=torch.channels_last if len(shape) == 4 else torch.contiguous_format)


def normalisation(channels: int) -> BatchNorm:
    norm, draws = BatchNorm(channels), torch.Generator().manual_seed(channels)
    with torch.no_grad():
        for tensor in norm.state_dict().values():
            tensor.copy_(torch.rand(channels, generator=draws) + 0.5)
    return norm


def exact(norm: BatchNorm, x: Tensor, residual: Tensor | None, *, relu: bool) -> Tensor:
    """By PyTorch's own functions in float64, apart from the module's."""
    mean, var = norm.running_mean.double(), norm.running_var.double()
    y = functional.batch_norm(x, mean, var, norm.weight.double(), norm.bias.double(), norm.training, 0.1, 1e-5)
    y = y if residual is None else y + residual
    return y.clamp(min=0) if relu else y


@both
@dtypes
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("adds", "relu"), [(False, False), (False, True), (True, True)])
def test_a_training_step(
    operation: Operation, dtype: torch.dtype, shape: tuple[int, ...], adds: bool, relu: bool
) -> None:
    norm, other = normalisation(shape[1]), normalisation(shape[1]).double()
    # Means far from 0, where sums of squares alone would lose everything.
    x = (drawn(*shape, seed=1, dtype=torch.float32) * 2 + 30).to(dtype).requires_grad_()
    residual = drawn(*shape, seed=2, dtype=dtype).requires_grad_() if adds else None
    upstream = drawn(*shape, seed=3, dtype=dtype)
    given = [t.detach().cpu().double().requires_grad_() for t in (x, residual) if t is not None]
    wanted = exact(other, given[0], given[1] if adds else None, relu=relu)
    y = operation(norm, x, residual, relu=relu)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.cpu().double(), wanted, **CLOSE[dtype], check_stride=False)

    # Where rounding decides on which side of 0 a value lies, both gradients are right.
    if relu:
        upstream = torch.where((wanted.abs() < 1e-2).to(DEVICE), 0.0, upstream)
    wanted.backward(upstream.cpu().double())
    y.backward(upstream.to(y.device))
    scale = 1 + wanted.numel() ** 0.5
    for own, true in zip([t for t in (x, residual) if t is not None], given, strict=True):
        assert own.grad is not None
        torch.testing.assert_close(own.grad.cpu().double(), true.grad, **CLOSE[dtype], check_stride=False)
    for name, parameter in norm.named_parameters():
        true = other.get_parameter(name).grad
        torch.testing.assert_close(
            parameter.grad.cpu().double(), true, rtol=CLOSE[dtype]["rtol"], atol=scale * CLOSE[dtype]["atol"]
        )


@both
@pytest.mark.parametrize("tracked", [True, False])
def test_running_statistics(operation: Operation, tracked: bool) -> None:
    norm, other = normalisation(16), nn.BatchNorm2d(16).double()
    other.load_state_dict(norm.state_dict() | {"num_batches_tracked": torch.tensor(0)})
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    norm.track_running_stats = tracked
    for seed in range(3):
        x = drawn(3, 16, 9, 9, seed=seed, dtype=torch.float32) + seed
        operation(norm, x, None, relu=True)
        other(x.cpu().double())
    for name, buffer in norm.named_buffers():
        wanted = other.get_buffer(name) if tracked else before[name].double()
        torch.testing.assert_close(buffer.cpu().double(), wanted, rtol=1e-5, atol=1e-5)


@both
@dtypes
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("adds", [True, False])
def test_evaluation(operation: Operation, dtype: torch.dtype, shape: tuple[int, ...], adds: bool) -> None:
    norm = normalisation(shape[1]).eval()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    x, residual = (drawn(*shape, seed=seed, dtype=dtype) for seed in (1, 2))
    with torch.no_grad():
        wanted = exact(norm, x.cpu().double(), residual.cpu().double() if adds else None, relu=True)
        y = operation(norm, x, residual if adds else None, relu=True)
    torch.testing.assert_close(y.cpu().double(), wanted, **CLOSE[dtype], check_stride=False)
    assert all(torch.equal(before[name], buffer.cpu()) for name, buffer in norm.named_buffers())


@both
def test_images_in_another_order_of_memory(operation: Operation) -> None:
    norm, x = normalisation(3), drawn(2, 3, 5, 7, seed=1, dtype=torch.float32).contiguous().requires_grad_()
    y = operation(norm, x, None, relu=False)
    y.mean((2, 3)).square().sum().backward()  # whose gradient is expanded
    given = x.detach().cpu().double().requires_grad_()
    exact(normalisation(3).double(), given, None, relu=False).mean((2, 3)).square().sum().backward()
    torch.testing.assert_close(x.grad.cpu().double(), given.grad, rtol=1e-4, atol=1e-5, check_stride=False)


@both
def test_what_is_no_number_stays_so(operation: Operation) -> None:
    x = drawn(2, 3, 5, 7, seed=1, dtype=torch.float32)
    x[0, 1, 2, 3] = float("nan")
    y = operation(normalisation(3), x, None, relu=True)
    assert y[:, 1].isnan().all()
    assert not y[:, ::2].isnan().any()


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize(("channels", "dtype"), [(16, torch.bfloat16), (64, torch.bfloat16), (48, torch.float32)])
def test_the_kernels_compile_for_an_h100(channels: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from bench.networks.modules import fused

    types = {torch.float32: "*fp32", torch.bfloat16: "*bf16", float: "fp32", int: "i32"}
    made: list[str] = []

    def launch(kernel: Any, grid: tuple[int, int], *arguments: Any, **constants: Any) -> None:
        told = [types[a.dtype if isinstance(a, Tensor) else type(a)] for a in arguments]
        signature = dict(zip(kernel.arg_names, told, strict=False)) | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature, constexprs=constants)
        assert compile(source, target=GPUTarget("cuda", 90, 32), options=fused.OPTIONS).asm["cubin"]
        made.append(kernel.__name__)

    monkeypatch.setattr(fused, "launch", launch)
    norm, x = normalisation(channels), drawn(128, channels, 8, 8, seed=1, dtype=dtype).requires_grad_()
    fused.batch_norm(norm, x, x, relu=True).sum().backward()
    with torch.no_grad():
        fused.batch_norm(norm.eval(), x, None, relu=False)
    assert made == ["moments", "normalise", "gradient_sums", "gradients", "normalise"]


@pytest.mark.skipif(INTERPRETED or DEVICE.type == "cuda", reason="the kernels run here")
@pytest.mark.slow
def test_all_of_this_in_tritons_interpreter() -> None:
    pytest.importorskip("triton")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "fast", str(Path(__file__))],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    assert "skipped" not in ran.stdout


@pytest.mark.parametrize(
    ("device", "said", "expected"),
    [("cuda", None, True), ("cuda", "0", False), ("cuda", "1", True), ("cpu", "1", False)],
)
def test_kernels_are_for_cuda_and_can_be_switched_off(
    device: str, said: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.delenv("KDBENCH_FUSED", raising=False)
    if said is not None:
        monkeypatch.setenv("KDBENCH_FUSED", said)
    assert fuses(torch.device(device)) is expected


def test_without_triton_pytorch_normalises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.networks.modules.base.find_spec", lambda name: None)
    assert not fuses(torch.device("cuda"))
