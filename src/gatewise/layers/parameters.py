"""The parameters of a stack of recurrent layers, with the names and shapes of `torch.nn`."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gatewise.equations import Cell
from gatewise.layers.initialisers import Init, Scheme, as_init, initialise, set_retention_biases, uniform_by_width
from gatewise.layers.merging import Merge, merged_width
from gatewise.layers.options import Bias

# torch.nn's names of parameter groups.
_TORCH_NAMES = {
    ("W", "input"): "weight_ih",
    ("R", "recurrent"): "weight_hh",
    ("b", "vector"): "bias_ih",
    ("d", "vector"): "bias_hh",
    ("V", "projection"): "weight_hr",
}


def stem_of(cell: Cell, group: str) -> str:
    """The name of a group's parameters before the number of the layer, such as ``weight_ih``."""
    return _TORCH_NAMES.get((group, cell.shape_of(group)), group)


class Parameters(nn.Module):
    """The parameters of a `Recurrent`, which documents and checks the arguments.

    ``_names`` and ``_shapes`` are those of the parameters by layer: per direction, then per group of the cell;
    ``_all_names`` and ``_all_shapes`` those of all layers; ``_state_sizes`` are the widths of the states, and
    ``_state_rows`` their rows, D·L.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: Bias,
        bidirectional: bool,
        merge: Merge,
        init: Scheme | Init,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
        proj_size: int = 0,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.proj_size = proj_size
        self.heads = heads
        self._state_sizes = tuple([proj_size if width == "P" else hidden_size for width in cell.widths])
        self.num_layers = num_layers
        self.bias = bias
        self.bidirectional = bidirectional
        self.merge = merge
        self.init: Scheme | Init = init
        self._state_rows = num_layers * self._direction_count
        self._names: list[list[str]] = []
        self._shapes: list[list[torch.Size]] = []
        width = input_size
        for layer in range(num_layers):
            named = self._of_layer(layer, width)
            for name, shape in named.items():
                self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            self._names.append(list(named))
            self._shapes.append(list(named.values()))
            width = self.output_size
        self._all_names = tuple(name for names in self._names for name in names)
        self._all_shapes = tuple(shape for shapes in self._shapes for shape in shapes)
        if merge == "learned":
            for layer in range(num_layers):
                weight = torch.empty(width, 2 * width, device=device, dtype=dtype)
                self.register_parameter(f"merge_weight_l{layer}", nn.Parameter(weight))
                shift = torch.empty(width, device=device, dtype=dtype)
                self.register_parameter(f"merge_bias_l{layer}", nn.Parameter(shift) if bias else None)
        self.reset_parameters()

    def _of_layer(self, layer: int, width: int) -> dict[str, torch.Size]:
        """The shapes of a layer's parameters by name, for an input of this width."""
        named: dict[str, torch.Size] = {}
        for suffix in ("", "_reverse")[: self._direction_count]:
            for group in self.cell.groups:
                named[f"{stem_of(self.cell, group)}_l{layer}{suffix}"] = torch.Size(
                    self.cell.parameter_shape(group, width, self.hidden_size, self.proj_size, self.heads)
                )
        return named

    @property
    def _direction_count(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """The width of a step of the output; with merge=None that of both parts."""
        return merged_width(self.merge, self._state_sizes[0], self._direction_count)

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        for group, tensor in self._by_group():
            initialise(self.init, self.cell, group, tensor, self.hidden_size)
        if self.merge == "learned":
            self._initialise_merges()

    def reset_retention_biases(self) -> None:
        """Reset only the biases that ``init`` (a `gatewise.Init`) sets to make states last."""
        for group, tensor in self._by_group():
            set_retention_biases(as_init(self.init), self.cell, group, tensor, self.hidden_size)

    def gate(self, name: str) -> dict[str, Tensor]:
        """The blocks of one gate in all layers and directions, to read and to write.

        Args:
            name: one of ``cell.gates``.

        Returns:
            By the name of the parameter, the rows of that gate: (H, I), (H, H) or (H,), of a matrix divided into n
            heads (H, H/n). They are views of the parameters: write to them under ``torch.no_grad()`` (inside `frozen`
            call `refresh` afterwards). Values of a parametrized parameter can be read, but are computed, so writing to
            them has no effect.

        Raises:
            ValueError: for an unknown gate.

        >>> import torch, gatewise
        >>> layer = gatewise.LSTM(3, 4, bidirectional=True)
        >>> with torch.no_grad():
        ...     for name, block in layer.gate("f").items():
        ...         if name.startswith("bias_ih"):
        ...             _ = block.fill_(1.0)
        >>> layer.bias_ih_l0[4:8].tolist()
        [1.0, 1.0, 1.0, 1.0]
        """
        if name not in self.cell.gates:
            known = f"its gates are {', '.join(self.cell.gates)}" if self.cell.gates else "it has no gates"
            raise ValueError(f"gate: the cell {self.cell.name} has no gate {name!r}; {known}")
        blocks: dict[str, Tensor] = {}
        for parameter, group in self._groups_by_name():
            gates = self.cell.gates_of(group)
            if name in gates:
                blocks[parameter] = getattr(self, parameter).chunk(len(gates))[gates.index(name)]
        return blocks

    def _groups_by_name(self) -> Iterator[tuple[str, str]]:
        """Names of parameters, with the group that each has."""
        for names in self._names:
            for index, name in enumerate(names):
                yield name, self.cell.groups[index % len(self.cell.groups)]

    def _by_group(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, group in self._groups_by_name():
            yield group, getattr(self, name)

    @torch.no_grad()
    def _initialise_merges(self) -> None:
        """Initialise as the mean of both directions, or uniformly in torch's scheme."""
        for layer in range(self.num_layers):
            weight, bias = getattr(self, f"merge_weight_l{layer}"), getattr(self, f"merge_bias_l{layer}")
            if as_init(self.init).scheme == "torch":
                for tensor in (weight, bias) if self.bias else (weight,):
                    uniform_by_width(tensor, self.hidden_size)
            else:
                half = torch.eye(weight.shape[0], device=weight.device, dtype=weight.dtype) / 2
                weight.copy_(torch.cat([half, half], dim=1))
                if self.bias:
                    bias.zero_()

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters by layer and direction, as in `torch.nn`."""
        groups = len(self.cell.groups)
        return [
            [getattr(self, name) for name in names[index : index + groups]]
            for names in self._names
            for index in range(0, len(names), groups)
        ]

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of `all_weights`, for code written for `torch.nn`."""
        groups = len(self.cell.groups)
        return [names[index : index + groups] for names in self._names for index in range(0, len(names), groups)]

    @property
    def _flat_weights_names(self) -> list[str]:
        """The names of all weights in one list, likewise."""
        return list(self._all_names)

    @property
    def _flat_weights(self) -> list[nn.Parameter]:
        """All weights in one list, likewise."""
        return [getattr(self, name) for name in self._all_names]

    def flatten_parameters(self) -> None:
        """Does nothing; exists for code written for `torch.nn`."""
