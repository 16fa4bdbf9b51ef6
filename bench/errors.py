"""Faults that a person can mend: one clear line, what to do next, exit code 2."""


class KdbenchError(Exception):
    """Base of every fault whose message is meant for the person at the keyboard."""


class RecipeError(KdbenchError):
    """A recipe does not say what it must; the message begins with ``file:line``."""


class UnknownComponent(RecipeError):  # noqa: N818  (what it is, to a reader of recipes)
    """A recipe names a component that is neither here nor in a plug-in: the rows that need it cannot be read."""


class DataError(KdbenchError):
    """A data set is missing, incomplete or not the set that it claims to be."""


class WordsError(KdbenchError):
    """A word-vector or distance file lacks a word or cannot be read."""


class CostError(KdbenchError):
    """A network's multiply-adds cannot be counted."""


class StoreError(KdbenchError):
    """A record or an artifact cannot be read, verified or written."""


class DeviceError(KdbenchError):
    """The device that was asked for is not there or cannot do what was asked."""


class UsageError(KdbenchError):
    """The command line asks for something that does not exist."""
