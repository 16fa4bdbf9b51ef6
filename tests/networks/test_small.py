import pytest
import torch

from bench.networks.initial import initialise
from bench.networks.small import CNN, MLP, LeNet5
from bench.rng import generator


@pytest.mark.parametrize(
    ("network", "channels", "size", "expected"),
    [
        (CNN(), 1, 28, 1_199_882),
        (MLP(32), 1, 28, 25_450),
        (LeNet5("full"), 1, 28, 61_706),
        (LeNet5("full"), 3, 32, 62_006),
        (LeNet5("half"), 1, 28, 15_738),
        (LeNet5("half"), 3, 32, 15_888),
        (LeNet5("half_convolutions"), 1, 28, 35_820),
    ],
)
def test_parameters_as_printed(network, channels, size, expected):
    net = network.build(10, channels, size)
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("size", [28, 32])
def test_lenet_sees_small_images_padded_to_32(size):
    net = LeNet5("full").build(10, 1, size).double()
    initialise(net, generator(1, "weights/0"))
    x = torch.rand(2, 1, size, size, dtype=torch.float64)
    whole = LeNet5("full").build(10, 1, 32).double()
    whole.load_state_dict(net.state_dict())
    pad = (32 - size) // 2
    torch.testing.assert_close(net(x).logits, whole(torch.nn.functional.pad(x, (pad,) * 4)).logits)


def test_the_mlp_is_what_its_figure_says():
    net = MLP(32).build(10, 1, 28).double()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    w1, b1, w2, b2 = net.parameters()
    expected = torch.clamp(x.reshape(3, 784) @ w1.T + b1, min=0) @ w2.T + b2
    torch.testing.assert_close(net(x).logits, expected)


@pytest.mark.parametrize("network", [CNN(), MLP(4), LeNet5("half")])
def test_features_and_the_last_layer(network):
    net = network.build(10, 1, 28).double()
    output = net(torch.rand(2, 1, 28, 28, dtype=torch.float64))
    hidden = output.features["hidden"]
    torch.testing.assert_close(output.logits, hidden @ net.linear.weight.T + net.linear.bias)
    assert (hidden >= 0).all()
