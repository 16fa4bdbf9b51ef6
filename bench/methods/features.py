"""What methods that compare feature maps ask of two networks; no torch."""

from bench.errors import RecipeError
from bench.networks.base import Features


def shape_of(features: Features, name: str, whose: str) -> tuple[int, int]:
    """Channels and side of one feature map; RecipeError where the network gives none of that name."""
    if name not in features:
        known = ", ".join(features) or "none"
        raise RecipeError(f"the {whose}'s network gives no feature map {name!r}; known: {known}")
    return features[name]
