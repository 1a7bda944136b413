"""Products of numbers rounded to bfloat16: when they are asked for, and what they are, forward and backward.

Both factors are rounded, sums are of float32, and so is everything else: gates, states, biases and, inside a call, the
states of a layer of bfloat16. Backward, the gradient of a product's result is rounded before it is multiplied by a
factor, which has been rounded, too; what comes is the gradient of the factor before it was rounded, as in mixed
precision (Micikevicius et al. 2018, arXiv:1710.03740; for bfloat16 Kalamkar et al. 2019, arXiv:1905.12322).
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.kernels.call import Call

_switch = torch._C._get_fp32_precision_getter


def products_switched(dtype: torch.dtype, device_type: str) -> Literal["bf16"] | None:
    """The precision of products that torch's switch asks for: ``torch.backends.mkldnn.rnn.fp32_precision``."""
    return "bf16" if dtype is torch.float32 and device_type == "cpu" and _switch("mkldnn", "rnn") == "bf16" else None


# As torch.compiler.assume_constant_result, which would import the compiler for everyone.
setattr(products_switched, "_dynamo_marked_constant", True)  # noqa: B010


def products_asked(dtype: torch.dtype, device_type: str) -> Literal["bf16"] | None:
    """The precision of products of a layer of this dtype where it is called: autocast, or torch's switch."""
    if dtype is not torch.float32 or device_type != "cpu":
        return None
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16:
        return "bf16"
    return products_switched(dtype, device_type)


class Rounded(torch.autograd.Function):
    """The nearest numbers of bfloat16, as float32; of two equally near the even one. Gradients pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        """The rounded value."""
        return value.to(torch.bfloat16).to(value.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is saved."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient as it is."""
        return gradients[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        """The tangent as it is."""
        return tangents[0].clone()


class GradientRounded(torch.autograd.Function):
    """The value as it is; its gradient is rounded."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        """The value."""
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is saved."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """The rounded gradient."""
        return Rounded.apply(gradients[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        """The tangent as it is."""
        return tangents[0].clone()


def linear(operand: Tensor, rounded_weight: Tensor) -> Tensor:
    """``operand @ rounded_weight.T`` in products of bfloat16; the weight has gone through `Rounded`."""
    return GradientRounded.apply(functional.linear(Rounded.apply(operand), rounded_weight))  # pyright: ignore[reportReturnType]


def is_narrow(call: Call) -> bool:
    """Whether the tensors of a call are of bfloat16."""
    return call.x.dtype is torch.bfloat16


def widened(call: Call) -> Call:
    """A call of bfloat16 as one of float32 with products of bfloat16; differentiable."""
    copies = None if call.packed is None else call.packed.copies(torch.float32)
    parameters = tuple([one.float() for one in call.parameters]) if copies is None else copies
    wide = call.with_tensors((call.x.float(), *[state.float() for state in call.initial], *parameters))
    wide.products = "bf16"
    return wide


def narrowed(call: Call, output: Tensor, finals: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The results of a widened call as those of the call: a final state has the type of the initial one.

    Streams carry their states as float32.
    """
    states = [state.dtype for state in call.initial] or [torch.bfloat16] * len(call.cell.states)
    dtypes = [*states, *[torch.bfloat16] * (len(finals) - len(states))]
    return output.to(torch.bfloat16), tuple([one.to(dtype) for one, dtype in zip(finals, dtypes, strict=True)])
