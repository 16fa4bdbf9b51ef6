"""Which parameters make a network: arithmetic without torch, so that ``kdbench check`` can refuse those that do not."""

from bench.errors import RecipeError

RESNET_CONVOLUTIONS = {"basic": 2, "bottleneck": 3}


def resnet(depth: int, block: str, width: float, **_: object) -> tuple[int, list[int]]:
    """The residual blocks of a stage, and the planes of each stage, of a CIFAR ResNet.

    Raises:
        RecipeError: no such depth for this block, or a width that gives no whole number of planes.
    """
    return _blocks(depth, block), _planes(width)


def _blocks(depth: int, block: str) -> int:
    layers = 3 * RESNET_CONVOLUTIONS[block]
    blocks, rest = divmod(depth - 2, layers)
    if blocks >= 1 and rest == 0:
        return blocks
    nearest = [layers * n + 2 for n in (blocks, blocks + 1) if n >= 1] or [layers + 2]
    raise RecipeError(
        f"depth {depth}: a ResNet of {block} blocks has a depth of {layers}n+2; the nearest: "
        + " or ".join(str(n) for n in nearest)
    )


def _planes(width: float) -> list[int]:
    planes = [width * p for p in (16, 32, 64)]
    if width <= 0 or not all(p.is_integer() for p in map(float, planes)):
        raise RecipeError(f"width {width}: 16, 32 and 64 times the width must be whole numbers; try a multiple of 1/16")
    return [int(p) for p in planes]
