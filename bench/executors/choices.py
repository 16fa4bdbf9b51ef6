"""How a run is carried out, where that changes its time and not what it computes: by rules that were measured."""

import shutil
import sysconfig
from os import environ
from pathlib import Path

import torch

from bench import registry
from bench.graph import Run
from bench.train import device
from bench.train.teacher_cache import pays, views_of

# FLOPs of a run that takes some twenty minutes on two cores: compiling takes one or two.
LONG = 1e15


def caches(run: Run, images: int, where: torch.device) -> bool:
    """Whether a teacher's logits are kept: for methods that take no more of it, and where that pays.

    Args:
        run: the one that would keep them.
        images: how many it trains on.
        where: the device whose memory they would take.
    """
    stage, entry = run.stage, registry.METHODS[run.stage.method.name]
    if not run.teacher or entry.compare is not None or stage.teacher_cache == "off":
        return False
    epochs = stage.schedule.passes(-(-images // stage.schedule.batch))
    views = views_of(stage.data.crop_padding, stage.data.flip)
    return pays(epochs, images, views, registry.SETS[stage.data.set].classes, where)


def compiles(run: Run, flops: int | None, where: torch.device) -> bool:
    """Whether the networks are compiled: in long runs, where that was found to be faster and there is a compiler.

    That is in bfloat16 on CPUs with AMX: ResNet-32 takes 1.27 times longer as it is. With AVX512-BF16 alone it is 1.01
    times, without either 0.93, and smaller networks lose; of GPUs it is not known, and a run there takes minutes. A
    group of networks would need more versions of the same code than torch.compile keeps.

    Args:
        run: the one to carry out.
        flops: what it takes in all, or None if that is not known.
        where: the device.
    """
    long, alone = (flops or 0) >= LONG, len(run.stage.networks) == 1
    native = device.precision(run.stage.precision, where) == "bfloat16" and device.multiplies_tiles(where)
    return long and alone and native and has_compiler()


def has_compiler() -> bool:
    """Whether torch.compile can work on a CPU: a C++ compiler (g++, or CXX) and Python's headers are here."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return shutil.which(environ.get("CXX", "g++")) is not None and headers.is_file()
