"""What a shell offers on Tab where a value has a name; files it offers itself where no name begins so."""

from collections.abc import Callable, Iterable

Completed = Callable[[str], list[str]]


def among(names: Callable[[], Iterable[str]]) -> Completed:
    """Completes one of these names, which are asked for only when a shell wants them."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _models() -> Iterable[str]:
    from profiles.zoo.catalog import ZOO

    return ZOO


def _links() -> Iterable[str]:
    from profiles.link import presets

    return presets()


def _devices() -> Iterable[str]:
    from profiles.roofline import devices

    return devices()


def _engines() -> Iterable[str]:
    return ("auto", "torch", "onnxruntime")


models, links, devices, engines = among(_models), among(_links), among(_devices), among(_engines)
