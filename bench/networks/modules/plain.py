"""The two plain networks of Zeng's report on knowledge distillation for efficiency (figures 1 and 4)."""

from torch import Tensor, nn

from bench.networks.modules.base import NetworkModule, Output


class CNNModule(NetworkModule):
    """Two 3x3 convolutions of 32 and 64 channels, 2x2 max pooling, a hidden layer of 128 (figure 1); ReLU throughout.

    1,199,882 parameters for ten classes of 28x28 images with one channel. The figure lists no dropout.
    """

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(64 * ((size - 4) // 2) ** 2, 128)
        self.linear = nn.Linear(128, classes)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Output:
        """Features ``conv1``, ``conv2`` after the pooling, and ``hidden``, (N, 128)."""
        conv1 = self.relu(self.conv1(x))
        conv2 = self.pool(self.relu(self.conv2(conv1)))
        hidden = self.relu(self.hidden(conv2.flatten(1)))
        return Output(self.linear(hidden), {"conv1": conv1, "conv2": conv2, "hidden": hidden})


class MLPModule(NetworkModule):
    """One hidden layer (figure 4: 784-32-10, 25,450 parameters), ReLU.

    Args:
        hidden: its width.
        classes: number of classes.
        channels: of the images.
        size: side of the images.
    """

    def __init__(self, hidden: int, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels * size**2, hidden)
        self.linear = nn.Linear(hidden, classes)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Output:
        """Feature ``hidden``, (N, hidden)."""
        hidden = self.relu(self.hidden(x.flatten(1)))
        return Output(self.linear(hidden), {"hidden": hidden})
