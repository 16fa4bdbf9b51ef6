import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.methods.feature_distillation import FeatureDistillation
from bench.networks.resnet import ResNet
from tests.methods.contract import output_of, terms

STAGES = ((2, 8), (3, 4), (4, 2))


@pytest.mark.parametrize("layer", ["pool", "stage2", "stage3.before"])
@given(seed=st.integers(0, 2**32), n=st.integers(1, 4), weight=st.floats(0, 100))
@settings(max_examples=15, deadline=None)
def test_the_mean_square_of_every_value(layer: str, seed: int, n: int, weight: float) -> None:
    student, teacher = output_of(seed, STAGES, n), output_of(seed + 1, STAGES, n)
    labels = torch.arange(n) % 5
    found = terms(FeatureDistillation(weight=weight, layer=layer), [student], labels, [teacher])
    own, other = (output.features[layer].numpy() for output in (student, teacher))
    logits = student.logits.numpy()
    ce = np.mean([np.log(np.exp(z).sum()) - z[y] for z, y in zip(logits, labels, strict=True)])
    assert list(found) == ["ce", "feature"]
    assert found["ce"].item() == pytest.approx(ce, rel=1e-9)
    assert found["feature"].item() == pytest.approx(weight * ((own - other) ** 2).mean(), rel=1e-9)


def test_by_hand() -> None:
    student, teacher = output_of(1, STAGES, 1), output_of(2, STAGES, 1)
    student.features["pool"] = torch.tensor([[1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    teacher.features["pool"] = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    found = terms(FeatureDistillation(weight=0.5, layer="pool"), [student], torch.tensor([0]), [teacher])["feature"]
    assert found.item() == 0.5 * (1 + 9) / 2
    found.backward()
    assert student.features["pool"].grad.tolist() == [[0.5, -1.5]]


def test_features_of_other_shapes_are_refused() -> None:
    narrow, wide = (ResNet(8, "basic", "B", width).features(32) for width in (1.0, 2.0))
    FeatureDistillation(weight=1.0, layer="pool").compare(narrow, narrow)
    with pytest.raises(RecipeError, match=r"'pool' has 64 channels of 1 x 1 in the student and 128 channels of 1 x 1"):
        FeatureDistillation(weight=1.0, layer="pool").compare(narrow, wide)
    with pytest.raises(RecipeError, match="no feature map 'stage4'"):
        FeatureDistillation(weight=1.0, layer="stage4").compare(narrow, narrow)
