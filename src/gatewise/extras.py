"""Optional dependencies: which extra of the package brings them, and the error for those that are not installed."""

import sys
from importlib.util import find_spec

EXTRAS = {
    "tasks": ("lightning", "matplotlib", "nervaluate", "pyarrow", "sacrebleu", "tokenizers", "torchmetrics", "tqdm"),
    "pandas": ("pandas",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "keras": ("h5py",),
    "tensorboard": ("tensorboard",),
    "studies": ("scipy", "sklearn", "joblib"),
}
"""The imported packages of each extra; a test compares them with ``pyproject.toml``."""


class MissingExtraError(ModuleNotFoundError):
    """A feature needs packages that are not installed; the message has the command that installs them."""


def installed(package: str) -> bool:
    """Whether a package can be imported; does not import it."""
    if package in sys.modules:
        return sys.modules[package] is not None
    spec = find_spec(package)
    # A folder of that name on the path, such as `tensorboard` in a run folder, has no origin.
    return spec is not None and spec.origin is not None


def missing(extra: str) -> tuple[str, ...]:
    """The packages of an extra that are not installed."""
    return tuple(name for name in EXTRAS[extra] if not installed(name))


def require(feature: str, extra: str, *packages: str) -> None:
    """Check that the packages of an extra are installed, before any work that needs them.

    Args:
        feature: what needs them, the subject of the message.
        extra: a key of `EXTRAS`.
        *packages: those of the extra that the feature needs; all of them by default.

    Raises:
        MissingExtraError: when one is not installed.
    """
    absent = [name for name in missing(extra) if name in packages or not packages]
    if absent:
        *others, last = absent
        names = f"{', '.join(others)} and {last}, which are" if others else f"{last}, which is"
        raise MissingExtraError(
            f"{feature} needs {names} not installed: pip install 'gatewise[{extra}]'", name=absent[0]
        )


def placeholder(feature: str, extra: str, doc: str) -> type:
    """A placeholder for a class whose extra is not installed; creating an instance raises.

    Args:
        feature, extra: as in `require`.
        doc: the docstring.
    """

    def raise_missing(self: object, *_: object, **__: object) -> None:
        require(feature, extra)

    return type(feature.rpartition(".")[2], (), {"__init__": raise_missing, "__doc__": doc})
