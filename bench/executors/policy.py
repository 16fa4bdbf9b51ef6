"""How a run is carried out, where that changes its time and not what it computes."""

from math import prod

import torch

from bench.graph import Run
from bench.methods.base import Method
from bench.registry import SETS
from bench.train.teacher_cache import is_worthwhile, num_views


def should_cache_teacher(run: Run, images: int, device: torch.device) -> bool:
    """Whether its teachers' logits are kept: for methods that read no more of them, and where that is worthwhile.

    Args:
        run: the one that would keep them.
        images: how many it trains on.
        device: whose memory they would take.
    """
    stage = run.stage
    reads_logits = isinstance(stage.method, Method) and stage.method.needs.teacher == "logits"
    if not run.teachers or not reads_logits or stage.teacher_cache == "off":
        return False
    epochs = stage.schedule.num_epochs(-(-images // stage.schedule.batch))
    views = num_views(stage.data.crop_padding, stage.data.flip)
    info = SETS[stage.data.set]
    logits = info.classes * prod(info.label_shape)
    return is_worthwhile(epochs, images, views, logits, len(run.teachers), device)
