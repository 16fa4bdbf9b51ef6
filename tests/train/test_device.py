import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from bench.errors import DeviceError
from bench.train import device

CPU = torch.device("cpu")


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def two_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_the_cpu_is_chosen() -> None:
    assert device.choose(None) == device.choose("cpu") == CPU


@pytest.mark.usefixtures("two_cuda_devices")
def test_cuda_is_chosen_where_present() -> None:
    assert device.choose(None) == device.choose("cuda") == torch.device("cuda")
    assert device.choose("cuda:1") == torch.device("cuda:1")
    assert device.choose("cpu") == CPU


@pytest.mark.usefixtures("two_cuda_devices")
def test_every_gpu_is_used_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.choose_all(None) == [torch.device("cuda:0"), torch.device("cuda:1")]
    assert device.choose_all("cuda:1") == [torch.device("cuda:1")]
    assert device.choose_all("cuda") == [torch.device("cuda")]
    assert device.choose_all("cpu") == [CPU]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.choose_all(None) == [torch.device("cuda")]


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_the_cpu_is_all_there_is() -> None:
    assert device.choose_all(None) == [CPU]


@pytest.mark.parametrize(("before", "after"), [(None, "32"), ("8", "8")])
def test_streams_have_queues_of_their_own_unless_told(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS", raising=False)
    if before:
        monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", before)
    device.choose("cpu")
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == after


def test_a_record_says_that_cudnn_chooses_by_time() -> None:
    assert "differ from process to process" in device.cudnn(torch.device("cuda"))["cudnn"]
    assert device.cudnn(CPU) == {}


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:-1", "mps", "meta"])
def test_an_unknown_device_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(DeviceError, match=f"device '{name}'.*; known: cpu, cuda, cuda:0, ...$") as raised:
        device.choose(name)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("no_cuda")
def test_cuda_where_there_is_none() -> None:
    with pytest.raises(DeviceError, match=r"^device 'cuda' is not there: PyTorch sees 0 CUDA devices$"):
        device.choose("cuda")


@pytest.mark.usefixtures("two_cuda_devices")
def test_a_number_beyond_the_last() -> None:
    with pytest.raises(DeviceError, match=r"^device 'cuda:2' is not there: PyTorch sees 2 CUDA devices$"):
        device.choose("cuda:2")


@pytest.mark.parametrize(("native", "reached"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_only_where_it_is_native(native: bool, reached: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "computes_bf16", lambda where: native)
    assert device.precision("auto", CPU) == reached


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float64"])
def test_what_is_asked_for_stays(asked: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "computes_bf16", lambda where: native)
    assert device.precision(asked, CPU) == asked


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True}, True),
        ({"avx512_f": True, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_a_cpu_needs_instructions_for_bfloat16(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert device.computes_bf16(CPU) is native


def test_a_torch_that_cannot_tell_computes_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert device.computes_bf16(CPU) is False


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((8, 9), True), ((9, 0), True)])
def test_cuda_computes_bfloat16_from_8_0(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: capability)
    assert device.computes_bf16(torch.device("cuda")) is native


@pytest.mark.parametrize(
    ("reached", "weights", "product"),
    [
        ("float32", torch.float32, torch.float32),
        ("float64", torch.float64, torch.float64),
        ("bfloat16", torch.float32, torch.bfloat16),
    ],
)
def test_only_bfloat16_is_autocast_and_keeps_float32_weights(
    reached: str, weights: torch.dtype, product: torch.dtype
) -> None:
    assert device.weights_dtype(reached) == weights
    ones = torch.ones(2, 2, dtype=weights)
    with device.autocast(reached, CPU):
        assert torch.is_autocast_enabled("cpu") is (reached == "bfloat16")
        assert (ones @ ones).dtype == product


def test_autocast_keeps_no_cache_of_weights() -> None:
    with device.autocast("bfloat16", CPU):
        assert not torch.is_autocast_cache_enabled()


def test_float32_is_not_rounded_to_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    device.choose("cpu")
    assert not torch.backends.cudnn.allow_tf32


def test_free_memory_is_what_linux_can_give(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24689764 kB\nMemFree:          100000 kB\nMemAvailable:   20000000 kB\n")
    monkeypatch.setattr(device, "_MEMORY", meminfo)
    assert device.free_memory(CPU) == 20_480_000_000


@pytest.mark.parametrize("said", [None, "MemTotal: 24689764 kB\nMemFree: 100000 kB\n"])
def test_free_memory_where_linux_does_not_tell(tmp_path, monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    if said:
        (tmp_path / "meminfo").write_text(said)
    monkeypatch.setattr(device, "_MEMORY", tmp_path / "meminfo")
    assert 0 < device.free_memory(CPU) < 2**50


def test_weights_rounded_once_are_those_that_autocast_rounds_each_time() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    given = []
    for _ in range(2):
        with torch.no_grad(), device.autocast("bfloat16", CPU):
            given.append(network(images))
        device.cast_frozen_(network, "bfloat16")
    assert torch.equal(*given)
    assert (network[0].weight.dtype, network[1].weight.dtype) == (torch.bfloat16, torch.float32)
    device.cast_frozen_(network.float(), "float32")
    assert network[0].weight.dtype == torch.float32


FAULTS = """
import resource, torch
from bench.train.device import keep_freed_memory
keep_freed_memory(torch.device("cpu"))
step = lambda: [torch.empty(2**20).fill_(1.0) for _ in range(16)]  # 64 MiB, all freed at the end
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is that of another library")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    # Up to 80,000 without: it depends on what lies at the end of the heap by chance.
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100


class Library:
    """A C library that is asked for some of its options."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        self.asked.append((option, value))
        return 1


@pytest.mark.parametrize(("name", "asked"), [("cpu", [(-3, 2**26), (-1, 2**29)]), ("cuda", [])])
def test_only_on_a_cpu_is_malloc_told_so(
    name: str, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    device.keep_freed_memory.__wrapped__(torch.device(name))
    assert library.asked == asked


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    device.keep_freed_memory.__wrapped__(CPU)
