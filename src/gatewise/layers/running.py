"""How the layers of a call run: one after the other, on the fast path or the general one, without masked steps."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.kernels import AUTO, Call, products_asked, run, run_on_cpu
from gatewise.kernels.masks import Masks
from gatewise.kernels.observers import is_watched, record_of
from gatewise.layers.base import RecurrentBase
from gatewise.layers.fast_path import plain_call, plain_stack
from gatewise.layers.masking import Compaction
from gatewise.layers.merging import merge_directions
from gatewise.layers.validation import Inputs, InputSpec

_UNCHANGED = nullcontext()


class Results(NamedTuple):
    """The results of a call of all layers, time first and batched.

    Attributes:
        output: (T, B, …) of the last layer, merged.
        finals: the final states, (D·L, B, H) each.
        sequences: the last layer's output before the merge, and, if the layer returns them, its other states after
            every step, (T, B, D·H) each; empty where a stack ran as one call.
    """

    output: Tensor
    finals: tuple[Tensor, ...]
    sequences: tuple[Tensor, ...] = ()


class Running(RecurrentBase):
    """The part of `Recurrent` that runs validated inputs through the layers."""

    def _expected(self, batch_first: bool, *, carried: bool = False) -> InputSpec:
        """What a call takes; ``carried``: a stream carries the states, those of a layer of bfloat16 as float32."""
        parameter: Tensor = getattr(self, self._names[0][0])
        device_type = parameter.device.type
        autocast_dtype = None
        if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
            # On the CPU states stay in the parameters' precision; see `products_asked`.
            autocast_dtype = parameter.dtype if device_type == "cpu" else torch.get_autocast_dtype(device_type)
        return InputSpec(
            self.cell.states,
            self.input_size,
            self._state_sizes,
            self._state_rows,
            batch_first,
            parameter.dtype,
            parameter.device,
            autocast_dtype,
            torch.float32 if carried and parameter.dtype is torch.bfloat16 else parameter.dtype,
        )

    def _call(
        self,
        layer: int,
        x: Tensor,
        prepared: Inputs,
        products: Literal["bf16"] | None,
        masks: Masks | None = None,
    ) -> Call:
        """The call of a layer; ``products``: their precision where the layer was called."""
        initial = prepared.initial
        if self.num_layers > 1:
            rows = slice(layer * self._direction_count, (layer + 1) * self._direction_count)
            initial = tuple([state[rows] for state in initial])
        parameters: list[Tensor] = [getattr(self, name) for name in self._names[layer]]
        for name, parameter, shape in zip(self._names[layer], parameters, self._shapes[layer], strict=True):
            if parameter.layout is not torch.strided:
                raise TypeError(
                    f"{name}: expected a dense weight, got layout {parameter.layout}; "
                    "replace it by a Parameter of its to_dense()"
                )
            if parameter.shape != shape:
                raise ValueError(
                    f"{name}: expected a weight of shape {tuple(shape)}, got {tuple(parameter.shape)}; "
                    "put one of the first shape in its place, or make a layer of other sizes"
                )
        return Call(
            self.running_cell,
            x,
            initial,
            tuple([parameter if parameter.dtype == x.dtype else parameter.to(x.dtype) for parameter in parameters]),
            prepared.lengths,
            prepared.reset,
            self._directions,
            record_of(self, layer),
            AUTO if isinstance(self.checkpoint_every, str) else self.checkpoint_every,
            packed=self._packed_weights(layer),
            masks=masks,
            sequences=self._returns_sequences(layer),
            products=products,
            output_steps=prepared.output_steps,
        )

    def _compacted(self, inputs: Inputs, compaction: Compaction) -> Inputs:
        """The inputs of a call without its masked steps."""
        return inputs._replace(
            x=compaction.moved(inputs.x),
            initial=compaction.reset_at_end(inputs.initial, self._reads_from_end),
            lengths=compaction.lengths,
            reset=compaction.reset,
            output_steps=self._output_steps(compaction) if is_watched(self) else None,
        )

    def _output_steps(self, compaction: Compaction) -> Tensor:
        """See `Call`."""
        if self.masked_output == "zero":
            return compaction.valid_sources().expand(self._direction_count, -1, -1)
        return torch.stack([compaction.sources(side) for side in self._reads_from_end[-self._direction_count :]])

    @property
    def _reads_from_end(self) -> list[bool]:
        """For each of D·L whether it reads from the end."""
        return ([False, True] if self.bidirectional else [self.reverse]) * self.num_layers

    def _run(self, inputs: Inputs) -> Results:
        masks = self._drawn_masks()
        if inputs.weights is not None:
            return self._run_in_turn(inputs, masks)
        return self._run_layers(inputs, masks) if inputs.mask is None else self._run_masked(inputs, masks)

    def _run_masked(self, inputs: Inputs, masks: Masks | None) -> Results:
        """As `_run_layers`, for inputs with a mask: the valid steps are run, the output gets its masked ones after."""
        assert inputs.mask is not None
        compaction = Compaction(inputs.mask, inputs.lengths, inputs.reset)
        results = self._run_layers(
            self._compacted(inputs, compaction),
            masks,
            lambda state, values: self._with_masked(state, values, inputs, compaction),
            compaction.valid if self.masked_output == "zero" else compaction.within,
        )
        return results._replace(
            finals=compaction.reset_at_end(results.finals, [not one for one in self._reads_from_end])
        )

    def _with_masked(self, state: int, values: Tensor, inputs: Inputs, compaction: Compaction) -> Tensor:
        """The values (T, B, D·H) of a state of the last layer with its masked steps."""
        if self.masked_output == "zero":
            return compaction.zeros_at_masked(values)
        first = (self.num_layers - 1) * self._direction_count
        initial, sides = inputs.initial[state][first:], self._reads_from_end[first:]
        parts = zip(values.chunk(len(sides), dim=-1), initial, sides, strict=True)
        return torch.cat([compaction.repeated_at_masked(*part) for part in parts], dim=-1)

    def _run_layers(
        self,
        inputs: Inputs,
        masks: Masks | None,
        restored: Callable[[int, Tensor], Tensor] | None = None,
        not_padding: Tensor | None = None,
    ) -> Results:
        """The results of a call.

        Args:
            inputs: of the call.
            masks: of the first layer; further layers and directions have others of the same seed.
            restored: the values of a state of the last layer in the caller's order of steps; None if they are in it.
            not_padding: (T, B) bool, where these values are not zero.
        """
        products = products_of(inputs.x)
        with _no_autocast(inputs.x.device.type):
            return self._run_in_turn(inputs, masks, products, restored, not_padding)

    def _run_in_turn(
        self,
        inputs: Inputs,
        masks: Masks | None,
        products: Literal["bf16"] | None = None,
        restored: Callable[[int, Tensor], Tensor] | None = None,
        not_padding: Tensor | None = None,
    ) -> Results:
        """As `_run_layers`, where autocast is off; ``products``: their precision, for the general path."""
        if self.num_layers > 1 and (stack := plain_stack(self, inputs, masks)) is not None:
            return Results(*run_on_cpu(stack))
        x, valid = inputs.x, None
        if inputs.lengths is not None and self.merge == "learned":
            valid = torch.arange(x.shape[0], device=x.device)[:, None] < inputs.lengths
        finals: list[tuple[Tensor, ...]] = []
        count, sequences = len(self.cell.states), ()
        for layer in range(self.num_layers):
            own = None if masks is None else masks.of_direction(layer * self._direction_count)
            if inputs.weights is not None:
                output, states = run_on_cpu(plain_call(self, layer, x, inputs, own))
            else:
                output, states = run(self._call(layer, x, inputs, products, own), backend=self.backend)
            finals.append(states[:count])
            if layer == self.num_layers - 1:
                sequences = (output, *states[count:])
                if restored is not None:
                    sequences, valid = tuple(restored(*each) for each in enumerate(sequences)), not_padding
                output = sequences[0]
            x = output if self.merge in ("concat", None) else self._merged(layer, output, valid)
            if layer < self.num_layers - 1 and self.dropout > 0:
                x = functional.dropout(x, self.dropout, self.training)
        if self.num_layers == 1:
            return Results(x, finals[0], sequences)
        return Results(x, tuple([torch.cat(states) for states in zip(*finals, strict=True)]), sequences)

    def _merged(self, layer: int, output: Tensor, valid: Tensor | None) -> Tensor:
        """The merged outputs of both directions."""
        weight = bias = None
        if self.merge == "learned":
            weight, bias = getattr(self, f"merge_weight_l{layer}"), getattr(self, f"merge_bias_l{layer}")
            weight, bias = weight.to(output.dtype), None if bias is None else bias.to(output.dtype)
        return merge_directions(output, self.merge, weight, bias, None if valid is None else valid[..., None])


def products_of(x: Tensor) -> Literal["bf16"] | None:
    """The precision of the products of a call with this input, where the layer is called."""
    return products_asked(x.dtype, x.device.type)


def _no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Disables autocast, on devices that support it (meta does not)."""
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return _UNCHANGED
