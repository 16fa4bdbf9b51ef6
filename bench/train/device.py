"""Which device a run trains on, in which precision, and what it is called."""

import ctypes
import gc
import os
import platform
import re
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import DeviceError
from bench.networks.modules.base import Classifier

_MEMORY = Path("/proc/meminfo")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose(name: str | None) -> torch.device:
    """The device of that name, or CUDA where present, else the CPU; DeviceError if it is not there."""
    # Read when CUDA starts: with its 8 queues, streams of more runs than that would wait for each other.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device {name!r}; known: cpu, cuda, cuda:0, ...") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; known: cpu, cuda, cuda:0, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices")
    # float32 means float32: left alone, cuDNN rounds what a convolution multiplies to the 10 bits of TF32.
    torch.backends.cudnn.allow_tf32 = False
    return device


def choose_all(name: str | None) -> list[torch.device]:
    """The device of that name; without one, every CUDA device of the machine, or the CPU."""
    chosen = choose(name)
    several = torch.cuda.device_count() if name is None and chosen.type == "cuda" else 1
    return [torch.device("cuda", index) for index in range(several)] if several > 1 else [chosen]


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 natively: emulation is two to five times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(_cpu().get("amx_bf16") or _cpu().get("avx512_bf16"))


def is_host(device: torch.device) -> bool:
    """Whether a tensor's values can be read without waiting: what the host counts itself is then no operation."""
    return device.type == "cpu"


def precision(asked: str, device: torch.device) -> str:
    """The precision that a recipe's field reaches on a device; ``auto`` is bfloat16 only where it is native."""
    if asked == "auto":
        return "bfloat16" if computes_bf16(device) else "float32"
    return asked


def weights_dtype(reached: str) -> torch.dtype:
    """The type of weights; under bfloat16 they stay float32 and autocast does the rest."""
    return torch.float64 if reached == "float64" else torch.float32


def images_dtype(reached: str) -> torch.dtype:
    """The type that images come in: where autocast's first layer would round them to bfloat16, they are so already."""
    return torch.bfloat16 if reached == "bfloat16" else weights_dtype(reached)


def autocast(reached: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast for bfloat16, nothing otherwise; without its weight cache, which a CUDA graph could not replay."""
    if reached != "bfloat16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def leaf_dtype(reached: str, device: torch.device) -> torch.dtype | None:
    """What weights that take gradients are rounded to once a step, with masters beside them; None where they are not.

    A step of ResNet-32 under autocast is 74 casts, a kernel each, which is a tenth of it on CUDA and little on a CPU.
    """
    return torch.bfloat16 if reached == "bfloat16" and device.type == "cuda" else None


def rounded_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers whose weights autocast rounds in every forward pass, by name."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(module, Classifier):
            yield name, module


def cast_frozen_(network: nn.Module, reached: str) -> None:
    """Round the weights that autocast would round in every forward pass, in place; for networks without gradients."""
    if reached == "bfloat16":
        for _, module in rounded_layers(network):
            module.to(torch.bfloat16)


def upload_(into: Tensor, values: Tensor) -> None:
    """Copy a tensor of the host to a device; on CUDA through pinned memory, so that the host need not wait."""
    into.copy_(values.pin_memory() if into.is_cuda else values, non_blocking=True)


def stream_context(device: torch.device) -> AbstractContextManager[object]:
    """Whatever is launched within it, each time that it is entered, goes to one stream on CUDA, of a pool of 32."""
    if device.type == "cuda":
        return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
    return nullcontext()


@cache
def keep_freed_memory(device: torch.device) -> None:
    """On a CPU, let glibc keep blocks of up to 64 MiB that were freed, 512 MiB of them: every step wants them again.

    Left alone it gives some back in every step, and each page of them is then a fault of one to two microseconds.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # of no other C library
    if device.type == "cpu" and mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**26)
        mallopt(_M_TRIM_THRESHOLD, 2**29)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or in the machine: there with what Linux keeps of files and can give up."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        fields = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def release_memory(device: torch.device) -> None:
    """Give memory that no tensor holds any more back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def name(device: torch.device) -> str:
    """The device's name and, for a CPU, how many threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu().get('cpu_name') or platform.machine()}, {torch.get_num_threads()} threads"


def threads_of(name: str) -> int | None:
    """How many threads the name of a CPU tells; None for a GPU's."""
    match = re.search(r", (\d+) threads$", name)
    return int(match[1]) if match else None


def cudnn(device: torch.device) -> dict[str, str]:
    """What a record says of cuDNN, beside the versions of libraries; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {"cudnn": f"{version}, algorithms chosen by their time: the last bits differ from process to process"}


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that torch held on a GPU since the start of the run, or the process's peak on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu() -> dict[str, Any]:
    """What torch knows of the processor; nothing in versions that cannot tell."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return capabilities
