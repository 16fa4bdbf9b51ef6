"""Which operations of PyTorch some code calls."""

from torch.utils._python_dispatch import TorchDispatchMode

# On CUDA each waits for the device, and a step that does so cannot be captured.
READING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::item", "aten::masked_select"}


class Operations(TorchDispatchMode):
    """Notes the name of every operation within it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.add(operation.name().partition(".")[0])
        return operation(*args, **(kwargs or {}))
