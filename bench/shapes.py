"""Which parameters make a network, and which networks a method can compare: arithmetic without torch.

So ``kdbench check`` can refuse those that do not.
"""

from collections.abc import Mapping, Sequence

from bench.errors import RecipeError

RESNET_CONVOLUTIONS = {"basic": 2, "bottleneck": 3}
RESNET_EXPANSION = {"basic": 1, "bottleneck": 4}
# The two features of each FSP matrix: the ends of each section as in the paper (Yim et al., CVPR 2017, figure 2), or
# one stage's output and the next one's, as in public code.
FSP_PAIRS = {
    "sections": (("stage1.first", "stage1"), ("stage2.first", "stage2"), ("stage3.first", "stage3")),
    "cross": (("stem", "stage1"), ("stage1", "stage2"), ("stage2", "stage3")),
}

Features = Mapping[str, tuple[int, int]]


def resnet(depth: int, block: str, width: float, **_: object) -> tuple[int, list[int]]:
    """The residual blocks of a stage, and the planes of each stage, of a CIFAR ResNet.

    Raises:
        RecipeError: no such depth for this block, or a width that gives no whole number of planes.
    """
    return _blocks(depth, block), _planes(width)


def resnet_features(size: int, block: str, width: float, **_: object) -> Features:
    """Channels and side of every feature map that a CIFAR ResNet gives for images of ``size``."""
    features = {"stem": (_planes(width)[0], size)}
    for i, inner in enumerate(_planes(width)):
        before, size = size, -(-size // 2) if i else size
        # A bottleneck's stride is in its second convolution.
        first = (inner, before if block == "bottleneck" else size)
        last = (RESNET_EXPANSION[block] * inner, size)
        features |= {f"stage{i + 1}.first": first, f"stage{i + 1}.middle": last, f"stage{i + 1}": last}
    return features


def compare_fsp(student: Features, teacher: Features, matrices: str, **_: object) -> None:
    """Refuse two networks whose FSP matrices are not of the same shape (RecipeError)."""
    for name in dict.fromkeys(name for pair in FSP_PAIRS[matrices] for name in pair):
        own, other = _shape(student, name, "student"), _shape(teacher, name, "teacher")
        if own[0] != other[0]:
            raise RecipeError(
                f"feature {name!r} has {own[0]} channels in the student and {other[0]} in the teacher, so their FSP"
                " matrices have no distance; give both networks the same width"
            )


def compare_hints(
    student: Features, teacher: Features, hint: Sequence[str], guided: Sequence[str], channels: Sequence[Sequence[int]]
) -> None:
    """Refuse hints that are not of the guided layers' size, or that ``channels`` describes wrongly (RecipeError)."""
    if not len(hint) == len(guided) == len(channels) > 0:
        raise RecipeError("hint, guided and channels: one entry each for every pair of layers")
    for other, own, said in zip(hint, guided, channels, strict=True):
        learns, teaches = _shape(student, own, "student"), _shape(teacher, other, "teacher")
        if tuple(said) != (learns[0], teaches[0]):
            raise RecipeError(f"the channels of {own!r} and {other!r} are [{learns[0]}, {teaches[0]}], not {[*said]}")
        if learns[1] != teaches[1]:
            raise RecipeError(f"{own!r} is {learns[1]} pixels wide and {other!r} {teaches[1]}; name layers of one size")


def _shape(features: Features, name: str, whose: str) -> tuple[int, int]:
    if name not in features:
        known = ", ".join(features) or "none"
        raise RecipeError(f"the {whose}'s network gives no feature map {name!r}; known: {known}")
    return features[name]


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
