"""Names of arguments and choices in other libraries, and misspelled ones: errors that name ours."""

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_HEADS = "gatewise.Recurrent has heads, for cells such as slstm whose matrices are divided"
_GATES = "the gates' activations are part of a cell's equations; define another with @gatewise.cell"
_OUTPUTS = "a layer returns the outputs of all steps and the final state: output, state = layer(x)"
_INIT = "initial weights are chosen with init=, biases with init=gatewise.Init(…)"
_STEPS = "a layer reads its number of steps from the input"

# By foreign name: one of our names, or a sentence. Of several names the first that a function has is suggested.
_MEANINGS: dict[str, tuple[str, ...] | str] = {
    **dict.fromkeys(
        ("units", "hidden", "hidden_dim", "hidden_units", "hidden_features", "n_hidden", "num_units", "num_hidden"),
        ("hidden_size",),
    ),
    **dict.fromkeys(("input_dim", "in_features", "input_features", "n_inputs", "num_features"), ("input_size",)),
    **dict.fromkeys(("layers", "n_layers", "nlayers", "nb_layers"), ("num_layers",)),
    **dict.fromkeys(("use_bias", "bias_initializer"), ("bias",)),
    "merge_mode": ("merge",),
    "go_backwards": ("reverse",),
    "backwards": ("reverse",),
    "zero_output_for_mask": ("masked_output",),
    **dict.fromkeys(("time_major", "layout"), ("batch_first",)),
    **dict.fromkeys(("drop", "dropout_rate", "drop_prob"), ("dropout",)),
    **dict.fromkeys(("activation", "act", "nonlin"), ("nonlinearity", _GATES)),
    "recurrent_activation": _GATES,
    **dict.fromkeys(("reset_after", "linear_before_reset"), ("variant", "the forms of a GRU are cells of their own")),
    **dict.fromkeys(("use_peepholes", "peepholes"), ("peephole", "gatewise.PeepholeLSTM has peepholes")),
    "projection_size": ("proj_size",),
    "proj_size": "gatewise.LSTM and gatewise.PeepholeLSTM have projections; put an nn.Linear after this layer",
    **dict.fromkeys(("num_heads", "n_heads"), ("heads", _HEADS)),
    "heads": _HEADS,
    "recurrent_dropout_rate": ("recurrent_dropout",),
    **dict.fromkeys(("return_sequences", "return_sequence"), _OUTPUTS),
    "output_only": ("return_state",),
    **dict.fromkeys(("return_all_states", "output_states", "return_cell_states"), ("return_states",)),
    "stateful": "pass the state of the last call: output, state = layer(x, state)",
    "unroll": _STEPS,
    "seq_len": ("lengths", _STEPS),
    "num_steps": ("lengths", _STEPS),
    **dict.fromkeys(
        ("kernel_initializer", "recurrent_initializer", "unit_forget_bias", "initializer", "forget_bias"), _INIT
    ),
    "bidirection": ("bidirectional",),
    "bidirectional": "both directions are read already",
    "reverse": "both directions are read already",
    # of calls
    **dict.fromkeys(
        ("initial_state", "initial_states", "h0", "h_0", "hidden_state", "hidden_states", "carry", "hx", "state"),
        ("hx", "state"),
    ),
    **dict.fromkeys(("inputs", "x", "sequence", "inputs_embeds"), ("input", "x_t", "inputs")),
    **dict.fromkeys(("sequence_lengths", "input_lengths", "seq_lens", "sequence_lens", "lens"), ("lengths",)),
    **dict.fromkeys(("attention_mask", "padding_mask", "masks"), ("mask",)),
    **dict.fromkeys(("is_init", "dones", "done", "episode_starts", "episode_start", "resets"), ("reset",)),
    "training": "layer.train() and layer.eval() set the mode",
}

# By foreign name of a choice: ours.
_CHOICES = {
    **dict.fromkeys(("ave", "avg", "average"), ("mean",)),
    **dict.fromkeys(("add", "plus"), ("sum",)),
    **dict.fromkeys(("multiply", "product", "prod"), ("mul",)),
    **dict.fromkeys(("cat", "concatenate", "stack"), ("concat",)),
    **dict.fromkeys(("reset_after", "linear_before_reset", "torch", "pytorch", "v3"), ("cudnn",)),
    **dict.fromkeys(("reset_before", "original", "v1"), ("cho2014", "chung2014")),
    **dict.fromkeys(("diag", "elementwise"), ("diagonal",)),
    **dict.fromkeys(("dense", "matrix"), ("full",)),
    **dict.fromkeys(("previous", "last", "copy", "hold", "state"), ("repeat",)),
    **dict.fromkeys(("zeros",), ("zero",)),
}


def with_known_keywords(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A constructor or method that answers unknown keyword arguments with the name of ours.

    Raises:
        TypeError: on the call, for an unknown keyword argument.
    """
    names = tuple(inspect.signature(function).parameters)[1:]
    method = "" if function.__name__ == "__init__" else f".{function.__name__}"

    @functools.wraps(function)
    def checked(*arguments: _P.args, **options: _P.kwargs) -> _R:
        for name in options:
            if name not in names:
                raise unknown_keyword(f"{type(arguments[0]).__name__}{method}", name, names)
        return function(*arguments, **options)

    return checked


def unknown_keyword(owner: str, name: str, names: Collection[str], of_layers: Collection[str] = ()) -> TypeError:
    """The error for an argument that a function does not have, with what was probably meant.

    Args:
        owner: the function or class, for the message.
        name: the unknown argument.
        names: the arguments that there are.
        of_layers: for the constructor of several layers, the arguments of the constructor of one.
    """
    lower = name.lower()
    meaning = (lower,) if lower in names else _MEANINGS.get(lower, ())
    options = (meaning,) if isinstance(meaning, str) else meaning
    if of_layer := next((one for one in (lower, *options) if one in of_layers and one not in names), None):
        return TypeError(f"{owner}: unknown argument {name!r}; {of_layer} is an argument of each layer in it")
    hint = next((one for one in options if one in names or " " in one), None)
    if hint is None:
        hint = next(iter(difflib.get_close_matches(lower, names, n=1)), None)
    if hint is None:
        meant = f". The arguments are: {', '.join(names)}"
    else:
        meant = f"; {hint}" if " " in hint else f"; did you mean {hint}?"
    return TypeError(f"{owner}: unknown argument {name!r}{meant}")


def did_you_mean(value: object, choices: Collection[object]) -> str:
    """The end of a message about an unknown choice: what was probably meant, or nothing.

    >>> did_you_mean("ave", ("concat", "sum", "mean"))
    "; did you mean 'mean'?"
    """
    if not isinstance(value, str):
        return ""
    lower = value.lower()
    known = [one for one in choices if isinstance(one, str)]
    near = [one for one in _CHOICES.get(lower, ()) if one in known] or difflib.get_close_matches(lower, known, n=1)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
