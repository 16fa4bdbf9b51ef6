"""Class names in label order, and the files in which torchvision keeps a set; no torch."""

from collections.abc import Mapping

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

_MNIST = "zero one two three four five six seven eight nine"

_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"

CLASSES: Mapping[str, tuple[str, ...]] = {
    "cifar10": tuple(_CIFAR10.split()),
    "cifar100": tuple(_CIFAR100.split()),
    "mnist": tuple(f"{digit} - {word}" for digit, word in enumerate(_MNIST.split())),
    "fashionmnist": tuple(_FASHION.split(",")),
}


def class_names(set_name: str, classes: int) -> tuple[str, ...]:
    """The names of a set's classes; their numbers where it has none."""
    return CLASSES.get(set_name, tuple(map(str, range(classes))))


_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "cifar10": (
        *(f"cifar-10-batches-py/data_batch_{batch}" for batch in range(1, 6)),
        "cifar-10-batches-py/test_batch",
        "cifar-10-batches-py/batches.meta",
    ),
    "cifar100": tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta")),
    "mnist": tuple(f"MNIST/raw/{file}" for file in _IDX),
    "fashionmnist": tuple(f"FashionMNIST/raw/{file}" for file in _IDX),
}
