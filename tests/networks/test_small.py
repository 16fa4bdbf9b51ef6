import pytest
import torch

from bench.rng import generator
from bench.networks import build, initialise


@pytest.mark.parametrize(
    ("name", "params", "channels", "size", "expected"),
    [
        ("cnn", {}, 1, 28, 1_199_882),
        ("mlp", {"hidden": 32}, 1, 28, 25_450),
        ("lenet5", {"width": "full"}, 1, 28, 61_706),
        ("lenet5", {"width": "full"}, 3, 32, 62_006),
        ("lenet5", {"width": "half"}, 1, 28, 15_738),
        ("lenet5", {"width": "half"}, 3, 32, 15_888),
        ("lenet5", {"width": "half_convolutions"}, 1, 28, 35_820),
    ],
)
def test_parameters_as_printed(name, params, channels, size, expected):
    net = build(name, params, 10, channels, size)
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("size", [28, 32])
def test_lenet_sees_small_images_padded_to_32(size):
    net = build("lenet5", {"width": "full"}, 10, 1, size).double()
    initialise(net, generator(1, "weights/0"))
    x = torch.rand(2, 1, size, size, dtype=torch.float64)
    whole = build("lenet5", {"width": "full"}, 10, 1, 32).double()
    whole.load_state_dict(net.state_dict())
    pad = (32 - size) // 2
    torch.testing.assert_close(net(x).logits, whole(torch.nn.functional.pad(x, (pad,) * 4)).logits)


def test_the_mlp_is_what_its_figure_says():
    net = build("mlp", {"hidden": 32}, 10, 1, 28).double()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    w1, b1, w2, b2 = net.parameters()
    expected = torch.clamp(x.reshape(3, 784) @ w1.T + b1, min=0) @ w2.T + b2
    torch.testing.assert_close(net(x).logits, expected)


@pytest.mark.parametrize(("name", "params"), [("cnn", {}), ("mlp", {"hidden": 4}), ("lenet5", {"width": "half"})])
def test_features_and_the_last_layer(name, params):
    net = build(name, params, 10, 1, 28).double()
    output = net(torch.rand(2, 1, 28, 28, dtype=torch.float64))
    hidden = output.features["hidden"]
    torch.testing.assert_close(output.logits, hidden @ net.linear.weight.T + net.linear.bias)
    assert (hidden >= 0).all()
