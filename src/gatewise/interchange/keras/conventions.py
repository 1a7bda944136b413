"""What Keras' recurrent layers are beside ours: their gates in stored order, their activations, their merges.

Both directions of the exchange read this table. Kernels are (I, gates·H) and (H, gates·H), our matrices transposed.
"""

from dataclasses import dataclass
from typing import Final

from gatewise.interchange.onnx.activations import Activation
from gatewise.layers.merging import Merge


@dataclass(frozen=True)
class Kind:
    """One of Keras' recurrent layers.

    Attributes:
        operator: the operator of ONNX with the same equations.
        gates: our names of the blocks of kernels and biases, in Keras' order; a cell without gates has one named None.
        activations: the option of each activation of the operator, in its order.
    """

    operator: str
    gates: tuple[str | None, ...]
    activations: tuple[str, ...]


KINDS: Final = {
    "SimpleRNN": Kind("RNN", (None,), ("activation",)),
    "LSTM": Kind("LSTM", ("i", "f", "g", "o"), ("recurrent_activation", "activation", "activation")),
    "GRU": Kind("GRU", ("z", "r", "n"), ("recurrent_activation", "activation")),
}

DEFAULTS: Final = {"activation": "tanh", "recurrent_activation": "sigmoid"}

ACTIVATIONS: Final = {
    "tanh": Activation("Tanh"),
    "sigmoid": Activation("Sigmoid"),
    "relu": Activation("Relu"),
    "linear": Activation("Affine", 1.0, 0.0),
    "hard_sigmoid": Activation("HardSigmoid", 1 / 6, 0.5),
    "leaky_relu": Activation("LeakyRelu", 0.2),
    "elu": Activation("Elu", 1.0),
    "softsign": Activation("Softsign"),
    "softplus": Activation("Softplus"),
}
HARD_SIGMOID_OF_KERAS_2: Final = Activation("HardSigmoid", 0.2, 0.5)

MERGES: Final[dict[str | None, Merge]] = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "mul", None: None}
