"""The sets that recipes can name: their sizes, fingerprints, class names and files."""

from bench.data.datasets import TorchvisionSet
from bench.data.shapes import CLASS_NAMES, ShapesSet
from bench.data.synthetic import SyntheticSet

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
_DIGITS = enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

CIFAR10 = TorchvisionSet(
    "cifar10",
    classes=10,
    channels=3,
    size=32,
    train=50_000,
    test=10_000,
    fingerprint="0b77c5f5f09b35eb",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    stand_in="synthetic10",
    reader="CIFAR10",
    files=(
        *(f"cifar-10-batches-py/data_batch_{batch}" for batch in range(1, 6)),
        "cifar-10-batches-py/test_batch",
        "cifar-10-batches-py/batches.meta",
    ),
)
CIFAR100 = TorchvisionSet(
    "cifar100",
    classes=100,
    channels=3,
    size=32,
    train=50_000,
    test=10_000,
    fingerprint="02ada2715d74d485",
    class_names=tuple(_CIFAR100.split()),
    stand_in="synthetic100",
    reader="CIFAR100",
    files=tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta")),
)
MNIST = TorchvisionSet(
    "mnist",
    classes=10,
    channels=1,
    size=28,
    train=60_000,
    test=10_000,
    fingerprint="c3225418d270c3d9",
    class_names=tuple(f"{digit} - {word}" for digit, word in _DIGITS),
    stand_in="synthetic-digits",
    reader="MNIST",
    files=tuple(f"MNIST/raw/{file}" for file in _IDX),
)
FASHION_MNIST = TorchvisionSet(
    "fashionmnist",
    classes=10,
    channels=1,
    size=28,
    train=60_000,
    test=10_000,
    fingerprint="021756277b37bcc3",
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    stand_in="synthetic-digits",
    reader="FashionMNIST",
    files=tuple(f"FashionMNIST/raw/{file}" for file in _IDX),
)
SYNTHETIC10 = SyntheticSet("synthetic10", 10, 3, 32, 2000, 1000, "d4257e41ca0d6c6d", synthetic=True)
SYNTHETIC100 = SyntheticSet("synthetic100", 100, 3, 32, 2000, 1000, "098634852b99ebd3", synthetic=True)
SYNTHETIC_DIGITS = SyntheticSet("synthetic-digits", 10, 1, 28, 2000, 1000, "7c785dcd4f1a26b4", synthetic=True)
SHAPES = ShapesSet("shapes", 6, 3, 48, 2000, 500, "ea8d613fde26c110", CLASS_NAMES, synthetic=True, dense=True)
