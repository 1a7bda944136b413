"""The recurrent layer: any cell, stacked, in one or both directions, over padded, ragged or reset sequences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise.kernels import Choice, backend_for
from gatewise.kernels.masks import Masks
from gatewise.kernels.plain import PLAIN_TYPES
from gatewise.layers.fast_path import plain_inputs, plain_step
from gatewise.layers.keywords import unknown_keyword, with_known_keywords
from gatewise.layers.masking import Compaction
from gatewise.layers.nested import is_jagged, nested_like, padded, padded_flags, rows_of
from gatewise.layers.packed import repack, unpack
from gatewise.layers.running import Results, Running, products_of
from gatewise.layers.streaming import Stream
from gatewise.layers.validation import Inputs, State, prepare

_SYMBOLIC = (
    "input: torch.fx.symbolic_trace cannot follow {}, whose work depends on values; use torch.export.export, or a "
    "Tracer whose is_leaf_module is true for it"
)
_ONE_MASK = (
    "{}: in training {} drops the same units or weights at all steps of a sequence, and a step does not know them; "
    "run the sequence by forward, or by stream, which keeps its masks (those of units), or call layer.eval()"
)
_NO_STEPS = "{}: this layer reads from the end (bidirectional or reverse) and cannot run step by step"
ARGUMENTS = ("input", "hx", "lengths", "reset", "mask", "enforce_sorted")
"""Of `Recurrent.forward`."""

STEP_ARGUMENTS = ("x_t", "state", "reset", "mask")
"""Of `Recurrent.step`."""

Output = Tensor | tuple[Tensor, Tensor] | PackedSequence | tuple[PackedSequence, PackedSequence]


class Recurrent(Running):
    """A stack of recurrent layers of any cell, with the interface of `torch.nn.LSTM`.

    Args:
        cell: a `Cell`, or the name of a built-in one.
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state, but of those that the cell declares to be projections.
        num_layers: L; each further layer reads the output of the one below.
        bias: False drops the parameter groups ``b`` and ``d``; ``single`` drops of ``d`` what is added to ``b``, so
            that a sum has one bias, as in Keras and Flax. Torch's layers have two.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        bidirectional: whether a second set of weights reads every sequence from its end.
        merge: how the outputs of both directions become one, at every layer: ``concat`` (2·H wide), ``sum``,
            ``mean``, ``mul``, ``learned`` (a trained map of both; H wide), or None: the last layer returns a pair
            (forward, reverse), and other layers concatenate.
        reverse: whether the one direction reads every sequence from its end. Output and lengths are in the order of
            the input, the final state is that of the first step, and parameters have the names of a forward layer;
            ``weight_ih_l0_reverse`` of a bidirectional layer is loaded as ``weight_ih_l0``.
        masked_output: the output at steps that a call's ``mask`` skips: ``zero``, or ``repeat``, the state there (the
            last output; before any the initial state, and zero after a reset). Past ``lengths`` it is 0 anyway.
        return_state: False: a call returns the output alone rather than (output, state), as `torch.nn.Sequential` and
            hooks that expect one tensor need it. `step` is not affected.
        return_states: True: a call returns (output, state, states). The third is of the form of a state, with the value
            of each after every step: (T, B, D·H) of the last layer in the layout of the output, directions side by side
            whatever ``merge`` is, for an LSTM (h, c). Gradients flow through all of them.
        init: initial weights: ``default``, ``torch``, ``xavier``, ``he``, ``orthogonal`` or ``identity``; or a
            `gatewise.Init`, which also sets the biases that determine how long a state lasts.
        backend: ``auto`` (the fastest that can run a call) or the name of one; see `backend_for`.
        checkpoint_every: in training save every n-th state and recompute the others in the backward pass, to train on
            long sequences in little memory; ``auto`` is 4 √T; None saves everything.
        recurrent_dropout: in training, the probability of dropping a unit of the candidate, the same ones at all steps
            of a sequence, so that the state itself loses nothing (Semeniuta et al. 2016, arXiv:1603.05118).
        variational: in training, the probability of dropping a unit of h_{t−1} in every product, the same ones at all
            steps and gates (Gal & Ghahramani 2016, arXiv:1512.05287); ``recurrent_dropout`` of Keras, but with one mask
            for all gates where Keras draws one for each.
        zoneout: the probability that a unit keeps its old state, drawn at every step in training, the mean of both in
            evaluation (Krueger et al. 2017, arXiv:1606.01305); a pair for the state h and the others, of which a unit
            keeps all or none.
        weight_drop: in training, the probability of dropping a recurrent weight, drawn for every call (DropConnect of
            Merity et al. 2018, arXiv:1708.02182).
        rates: the probabilities of the masks in the cell's own equations, by name; see `equations.dropout`.
        proj_size: P < H, the width of the states that the cell declares to be projections, as that of
            ``lstm_projected``; the output has the width of the first state. 0 for a cell without them.
        heads: n, a divisor of H: the matrices that the cell declares to be divided into heads, as ``R`` of ``slstm``,
            have n blocks (H/n, H/n), one for the units of each head, stored as (G·H, H/n). 1: they are whole.
        device, dtype: of the parameters.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> layer = gatewise.Recurrent("gru_chung2014", input_size=3, hidden_size=4, bidirectional=True, merge="sum")
    >>> output, state = layer(torch.randn(7, 2, 3), lengths=torch.tensor([7, 5]))
    >>> output.shape, state.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 4]))
    """

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        enforce_sorted: bool = False,
        **unknown: Never,
    ) -> tuple[Output, State]:
        """Run the layers over sequences.

        Args:
            input: (T, B, I), or (B, T, I) with batch_first, or (T, I) without a batch, or a PackedSequence, or a jagged
                `torch.nested` tensor (B, j, I), which takes no lengths, and jagged flags (B, j).
            hx: initial state (D·L, B, H), without a batch (D·L, H): a tensor for a cell with one state, a tuple for
                more. None is zero.
            lengths: (B,) integers, the steps of each row; any order, zero allowed, on any device. What follows in
                the row is padding: it is not read, the output is 0 there, the final state is that of the true end
                and the reverse direction starts there. A row of length 0 keeps its initial state.
            reset: (T, B) bool ((B, T) with batch_first, (T,) without a batch): true at t is a boundary between
                t−1 and t. The forward direction's state is zero before step t, an initial state too; the reverse
                direction's is zero after its step t. No gradient crosses.
            mask: (T, B) bool ((B, T) with batch_first, (T,) without a batch): false at t skips the step, in any
                pattern. The state is copied, x_t is not read and has no gradient, a reset at t still acts, and the
                output is that of `masked_output`. With ``lengths`` both apply.
            enforce_sorted: without effect, for callers that pass it on to torch's ``pack_padded_sequence``; lengths
                may be in any order.

        Returns:
            Output (T, B, D·H), or H wide by `merge`, or a pair for merge=None; a PackedSequence for one, a jagged
            tensor (B, j, D·H) for one. And the final state, of the form of hx, unless `return_state` is False; and with
            `return_states` the states after every step.

        Raises:
            TypeError, ValueError: naming the argument, the expected and the actual value.
        """
        inputs = None if unknown or mask is not None else self._plain(input, hx, lengths, reset)
        if inputs is None:
            if isinstance(input, torch.fx.Proxy):
                raise TypeError(_SYMBOLIC.format(type(self).__name__))
            if unknown:
                raise unknown_keyword(f"{type(self).__name__}.forward", next(iter(unknown)), ARGUMENTS)
            if isinstance(input, PackedSequence):
                return self._forward_packed(input, hx, {"lengths": lengths, "reset": reset, "mask": mask})
            if is_jagged(input):
                return self._forward_jagged(input, hx, lengths, reset, mask)
            inputs = prepare(input, hx, lengths, reset, self._expected(self.batch_first), mask)
        results = self._run(inputs)
        if inputs.batched and not self.batch_first:
            return self._returned(results)
        return self._returned(results, lambda part: self._arranged(part, inputs), inputs.batched)

    def _returned(
        self, results: Results, arranged: Callable[[Tensor], Any] | None = None, batched: bool = True
    ) -> tuple[Output, State]:
        """What a call returns; typed as the pair that it is by default, as for `torch.nn`.

        Args:
            results: of the call.
            arranged: a sequence (T, B, …) in the layout of the input; None if that is its layout.
            batched: whether the input has rows.
        """
        output, states, sequences = results
        parts: Any = output
        if self.merge is None:
            parts = output.chunk(2, dim=-1)
            parts = parts if arranged is None else tuple(map(arranged, parts))
        elif arranged is not None:
            parts = arranged(output)
        if not self.return_state:
            return parts
        if not batched:
            states = tuple(state.squeeze(1) for state in states)
        if not self.return_states:
            return parts, _one_or_all(states)
        if arranged is not None:
            sequences = tuple(map(arranged, sequences))
        return cast("tuple[Output, State]", (parts, _one_or_all(states), _one_or_all(sequences)))

    def _plain(
        self,
        input: Tensor | PackedSequence,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
    ) -> Inputs | None:
        """The arguments of a batched call that need no validation; see `fast_path`."""
        # Others may not be transposed like a padded batch.
        if not isinstance(input, Tensor) or type(input) not in PLAIN_TYPES or input.dim() != 3:
            return None
        if not self.batch_first:
            return plain_inputs(self, input, hx, lengths, reset)
        if isinstance(reset, Tensor) and reset.dim() == 2:
            reset = reset.transpose(0, 1)
        return plain_inputs(self, input.transpose(0, 1), hx, lengths, reset)

    def step(
        self,
        x_t: Tensor,
        state: State | None = None,
        *,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        **unknown: Never,
    ) -> tuple[Tensor, State]:
        """Run one step of a stream.

        Args:
            x_t: (B, I), or (I,) without a batch.
            state: the state returned by the previous step, (L, B, H) each; None is zero.
            reset: (B,) bool, or () without a batch: true resets the state of the row.
            mask: (B,) bool, or () without a batch: false copies the state of the row; see `forward`.

        Returns:
            Output (B, H) and the state for the next step, equal to those of `forward` up to rounding.

        Raises:
            ValueError: when a direction of the layer reads from the end.

        >>> import torch, gatewise
        >>> layer = gatewise.LSTM(3, 4)
        >>> state = None
        >>> for x_t in torch.randn(5, 2, 3):
        ...     y_t, state = layer.step(x_t, state)
        >>> y_t.shape
        torch.Size([2, 4])
        """
        if unknown:
            raise unknown_keyword(f"{type(self).__name__}.step", next(iter(unknown)), STEP_ARGUMENTS)
        if self.bidirectional or self.reverse:
            raise ValueError(_NO_STEPS.format("step"))
        if self.training and (self.weight_drop or (self._regularisation and self._regularisation.per_sequence)):
            raise ValueError(_ONE_MASK.format("step", type(self).__name__))
        return self._step(x_t, state, reset=reset, mask=mask, masks=self._drawn_masks())

    def _step(
        self,
        x_t: Tensor,
        state: State | None,
        *,
        reset: Tensor | None,
        mask: Tensor | None,
        masks: Masks | None,
        carried: bool = False,
    ) -> tuple[Tensor, State]:
        """As `step`, with the masks of the step; ``carried``: see `_expected`."""
        if mask is None and isinstance(x_t, Tensor):
            done = plain_step(self, x_t, state, reset, masks=masks)
            if done is not None:
                return done
        if not isinstance(x_t, Tensor) or x_t.dim() not in (1, 2):
            actual = tuple(x_t.shape) if isinstance(x_t, Tensor) else type(x_t).__name__
            raise ValueError(f"x_t: expected a tensor of shape (B, I) or (I,), got {actual}; sequences go to forward")
        reset, mask = (one.unsqueeze(0) if isinstance(one, Tensor) else one for one in (reset, mask))
        expected = self._expected(batch_first=False, carried=carried)
        prepared = prepare(x_t.unsqueeze(0), state, None, reset, expected, mask)
        run = self._run_layers if mask is None else self._run_masked
        output, finals, _ = run(prepared, masks)
        if not prepared.batched:
            return output[0, 0], _one_or_all(tuple(state.squeeze(1) for state in finals))
        return output[0], _one_or_all(finals)

    @with_known_keywords
    def stream(
        self,
        inputs: Iterable[Tensor],
        state: State | None = None,
        *,
        reset: Iterable[Tensor | None] | None = None,
        mask: Iterable[Tensor | None] | None = None,
    ) -> Stream:
        """Run over a stream: a faster loop of `step` that keeps the state and the packed weights.

        Args:
            inputs: an iterable of x_t, (B, I) or (I,), such as a tensor (T, B, I) or (T, I).
            state: as for `step`.
            reset, mask: iterables of the flags of each x_t, as for `step`, or None, such as tensors (T, B) or (T,).

        Returns:
            An iterator of y_t, (B, H) or (H,), which reads each x_t when y_t is requested. Its attribute ``state`` is
            the current state, and can be assigned. In inference the stream packs the weights at its first step and
            keeps them: call `refresh` after changing weights.

        Raises:
            TypeError: for something that is not iterable.
            ValueError, TypeError: as `step`, at the invalid step; and if ``reset`` or ``mask`` ends before the inputs.

        >>> import torch, gatewise
        >>> layer = gatewise.GRU(3, 4)
        >>> with torch.no_grad():
        ...     stream = layer.stream(torch.randn(5, 3))
        ...     outputs = [y_t for y_t in stream]
        >>> len(outputs), stream.state.shape
        (5, torch.Size([1, 4]))
        """
        if self.bidirectional or self.reverse:
            raise ValueError(_NO_STEPS.format("stream"))
        if self._drops_weights:
            raise ValueError(_ONE_MASK.format("stream", type(self).__name__))
        return Stream(self, self._step, inputs, state, reset, mask)

    @with_known_keywords
    def backend_for(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Choice:
        """The backend that runs `forward` on these arguments, and why not a faster one.

        Raises:
            TypeError, ValueError: as `forward`; also when a backend requested by name cannot run them.

        >>> import torch, gatewise
        >>> layer = gatewise.PeepholeLSTM(3, 4, dtype=torch.float16)
        >>> layer.backend_for(torch.randn(7, 2, 3, dtype=torch.float16)).name
        'reference'
        """
        batch_first = self.batch_first
        if isinstance(input, PackedSequence):
            (input, lengths), batch_first = unpack(input), False
        elif is_jagged(input):
            rows = rows_of("input", input, "I")
            input, lengths, batch_first = padded(rows), rows.lengths, False
            reset, mask = padded_flags("reset", reset, rows), padded_flags("mask", mask, rows)
        prepared = prepare(input, hx, lengths, reset, self._expected(batch_first), mask)
        if prepared.mask is not None:
            prepared = self._compacted(prepared, Compaction(prepared.mask, prepared.lengths, prepared.reset))
        call = self._call(0, prepared.x, prepared, products_of(prepared.x))
        return backend_for(call, backend=self.backend)

    def _arranged(self, sequence: Tensor, prepared: Inputs) -> Tensor:
        """A sequence (T, B, …) in the layout of the input."""
        if not prepared.batched:
            return sequence.squeeze(1)
        return sequence.transpose(0, 1) if self.batch_first else sequence

    def _forward_packed(
        self, packed: PackedSequence, hx: State | None, options: Mapping[str, object]
    ) -> tuple[Output, State]:
        for name, value in options.items():
            if value is not None:
                raise ValueError(
                    f"{name}: expected None with a PackedSequence; pad the rows and pass lengths to use {name}"
                )
        x, row_lengths = unpack(packed)
        prepared = prepare(x, hx, row_lengths, None, self._expected(batch_first=False))
        return self._returned(self._run(prepared), lambda part: repack(part, row_lengths, packed))

    def _forward_jagged(
        self, nested: Tensor, hx: State | None, lengths: object, reset: object, mask: object
    ) -> tuple[Output, State]:
        if lengths is not None:
            raise ValueError("lengths: expected None with a jagged tensor, whose rows have their own")
        rows = rows_of("input", nested, "I")
        flags = padded_flags("reset", reset, rows), padded_flags("mask", mask, rows)
        inputs = prepare(padded(rows), hx, rows.lengths, flags[0], self._expected(batch_first=False), flags[1])
        return self._returned(self._run(inputs), lambda part: nested_like(part, rows))


def _one_or_all(values: tuple[Any, ...]) -> Any:
    """A tensor for a cell with one state, a tuple for more."""
    return values[0] if len(values) == 1 else values
