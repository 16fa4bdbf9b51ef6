"""Where runs are carried out: the one place that chooses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.build import Builder
from bench.counting import Costs
from bench.errors import UsageError
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.executors.processes import Processes, cores
from bench.store import Store

if TYPE_CHECKING:
    from bench.executors.cluster import Cluster

# By arithmetic the memory's speed is the limit from about four runs on; `make benchmark-gpu` measures it.
MOST_ON_GPU = 4
MOST_ON_CPU = 8


def num_at_once(asked: int | None, device: torch.device, count: int) -> int:
    """How many of ``count`` runs are in progress on a device at a time, at most.

    On a CPU, small networks gain more from a second run than from a second thread.
    """
    default = MOST_ON_GPU if device.type == "cuda" else min(cores(), MOST_ON_CPU)
    return max(1, min(count, asked or default))


def make_executor(
    store: Store,
    costs: Costs,
    folder: Path,
    devices: Sequence[torch.device],
    at_once: int,
    plugins: Path | None = None,
    on: str | None = None,
) -> "Inline | Processes | Cluster":
    """An executor of so many runs at a time on each device: by streams on a GPU, by worker processes on a CPU.

    One GPU is served by this process, each of several by a worker. Several processes share the cores: this one's
    threads are set to a worker's share, so that the device has the name here that it gets in their records.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the records' FLOPs.
        folder: where data sets lie.
        devices: where runs are carried out.
        at_once: how many at a time on each, at most.
        plugins: the folder of plug-ins, which other processes have to load.
        on: ``ray``, the Ray cluster of this machine, or the address of one, ``ray://host:port``; there ``at_once`` is
            how many runs share a GPU. None is this machine itself.

    Raises:
        UsageError: it is no place that is known, or Ray is not installed.
        DeviceError: there is no such cluster.
    """
    if on is not None:
        return _cluster(on)(store, costs, folder, address=_address(on), per_gpu=at_once, plugins=plugins)
    device, each = devices[0], at_once
    if device.type == "cpu":
        devices, each = [device] * at_once, 1
    if len(devices) == 1:
        return Inline(Local(store, costs, Builder(folder, device), each), each)
    threads = max(1, min(torch.get_num_threads(), cores() // len(devices)))
    torch.set_num_threads(threads)
    return Processes(store, costs, folder, devices=devices, threads=threads, each=each, plugins=plugins)


def _cluster(on: str) -> "type[Cluster]":
    if on != "ray" and not on.startswith("ray://"):
        raise UsageError(f"--on {on}: write ray, or the address of a Ray cluster, as in ray://head:10001")
    try:
        from bench.executors.cluster import Cluster
    except ImportError:
        raise UsageError("--on ray needs Ray; pip install 'kdbench[ray]' brings it") from None
    return Cluster


def _address(on: str) -> str | None:
    return None if on == "ray" else on
