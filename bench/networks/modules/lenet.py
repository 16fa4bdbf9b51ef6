"""LeNet-5 (LeCun et al., 1998) as distillation papers use it, and the two halves of it that the literature knows."""

from torch import Tensor, nn

from bench.networks.modules.base import NetworkModule, Output

# Channels of the three convolutions and width of the hidden layer.
WIDTHS = {
    "full": (6, 16, 120, 84),
    # Every width halved, as in public code for zero-shot distillation: 15,738 parameters on one channel.
    "half": (3, 8, 60, 42),
    # Only the first two convolutions halved, as in Nayak et al. (ICML 2019): 35,820 parameters on one channel.
    "half_convolutions": (3, 8, 120, 84),
}


class LeNet5Module(NetworkModule):
    """Three 5x5 convolutions, 2x2 max pooling after the first two, a hidden layer and a classifier; ReLU throughout.

    Images of 28x28 pixels are padded to the 32x32 that the network is made for.

    Args:
        width: a key of ``WIDTHS``.
        classes: number of classes.
        channels: of the images.
        size: side of the images, 28 or 32.
    """

    def __init__(self, width: str, classes: int, channels: int, size: int) -> None:
        super().__init__()
        first, second, third, hidden = WIDTHS[width]
        self.conv1 = nn.Conv2d(channels, first, 5, padding=(32 - size) // 2)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.conv3 = nn.Conv2d(second, third, 5)
        self.hidden = nn.Linear(third, hidden)
        self.linear = nn.Linear(hidden, classes)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Output:
        """Features ``conv1`` and ``conv2`` after their pooling, ``conv3`` and ``hidden``, (N, D)."""
        conv1 = self.pool(self.relu(self.conv1(x)))
        conv2 = self.pool(self.relu(self.conv2(conv1)))
        conv3 = self.relu(self.conv3(conv2)).flatten(1)
        hidden = self.relu(self.hidden(conv3))
        return Output(self.linear(hidden), {"conv1": conv1, "conv2": conv2, "conv3": conv3, "hidden": hidden})
