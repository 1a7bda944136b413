"""The options that every task has: the network, its training, the run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from gatewise.equations import Cell
from gatewise.equations.regularisation import with_recurrent_dropout, with_variational_dropout, with_zoneout
from gatewise.equations.retention import check_retention_biases
from gatewise.tasks.cells import cell_of, is_cell, without_file
from gatewise.tasks.options import Bounds, Count, Positive, check, without_effect

Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["constant", "cosine", "step", "plateau"]
Init = Literal["default", "torch", "xavier", "he", "orthogonal", "identity", "uniform"]
Logger = Literal["csv", "tensorboard"]
Precision = Literal["32", "64", "bf16-mixed"]
Device = Literal["auto", "cpu", "cuda"]
Average = Literal["none", "ema", "mean"]
Probability = Annotated[float, Bounds(low=0, high=0.95)]
Patience = Count | Literal["auto"] | None

# What the options make of a cell, which says whether it can have them.
_REGULARISED: dict[str, Callable[[Cell], Cell]] = {
    "recurrent_dropout": with_recurrent_dropout,
    "variational": with_variational_dropout,
    "zoneout": with_zoneout,
    "cell_zoneout": with_zoneout,
}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of every task; the docstring of a field is its help."""

    cell: str = "lstm"
    """Recurrent cell: a built-in one (see gatewise explain --list), or FILE.py:NAME, one of your own."""
    hidden: Count = 256
    """Width of the hidden state."""
    layers: Count = 1
    """Number of recurrent layers."""
    dropout: Annotated[float, Bounds(low=0, high=0.95)] = 0.1
    """Probability of dropping a unit of a connection that is not recurrent."""
    recurrent_dropout: Probability = 0.0
    """Probability of dropping a unit of the candidate, the same at all steps (Semeniuta et al. 2016)."""
    variational: Probability = 0.0
    """Probability of dropping a unit of the state where it is multiplied, the same at all steps (Gal 2016)."""
    zoneout: Probability = 0.0
    """Probability that a unit of a state keeps its old value in a step (Krueger et al. 2017)."""
    cell_zoneout: Probability | None = None
    """That of the second state, the cell state of an LSTM; by default that of zoneout."""
    weight_drop: Probability = 0.0
    """Probability of dropping a recurrent weight, drawn for every batch (Merity et al. 2018)."""
    init: Init = "default"
    """Initialiser of the recurrent layers; uniform: all parameters between -init-range and init-range."""
    init_range: Positive = 0.1
    """Largest initial value with init uniform."""
    forget_bias: Annotated[float, Bounds(low=-20, high=20)] | None = None
    """Initial bias of the gate that keeps the state; the larger, the longer it lasts (LSTM by default 1, GRU 0)."""
    chrono: Annotated[int, Bounds(low=2)] | None = None
    """Longest span to remember, in steps: the biases of the gates are drawn for all spans up to it."""

    keep_data: bool = False
    """Keep a copy of the data files in the run folder, and read those from then on."""
    batch: Count = 16
    """Number of sequences (or streams) of a batch, of all processes together."""
    accumulate: Count = 1
    """Batches per step: the weights change by the mean of their gradients."""
    epochs: Count = 14
    """Passes over the training data."""
    max_minutes: Annotated[float, Bounds(low=0, high=1e6, open=True)] | None = None
    """Minutes from the start of the command until training stops, all resumed runs included; cosine ends there too."""
    optimizer: Optimizer = "adam"
    """Optimiser, as in torch.optim, its other settings at torch's defaults."""
    lr: Positive = 3e-3
    """Learning rate."""
    momentum: Annotated[float, Bounds(low=0, high=0.9999)] = 0.0
    """Momentum of the optimisers sgd and rmsprop."""
    weight_decay: Annotated[float, Bounds(low=0)] = 0.0
    """Weight decay of the optimiser."""
    warmup: Annotated[int, Bounds(low=0)] = 0
    """Steps in which lr rises from near zero, linearly, before the schedule begins."""
    schedule: Schedule = "cosine"
    """Decay of lr: cosine, to zero; step, by decay after epochs from decay-from on; plateau, by decay if no better."""
    decay: Annotated[float, Bounds(low=0, high=1, open=True)] = 0.5
    """Factor of the schedules step and plateau."""
    decay_from: Count = 1
    """First epoch after which the schedule step decays."""
    average: Average = "none"
    """Weights to validate and keep: ema, an exponential moving average; mean, over all steps from average-from on."""
    average_decay: Annotated[float, Bounds(low=0, high=1, open=True)] = 0.999
    """Share of the moving average that a step leaves."""
    average_from: Count = 1
    """First epoch whose weights are averaged."""
    patience: Patience = 5
    """Epochs without a better held-out score until training stops; auto: as many as up to the best one, 3 to 10."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient of all parameters together; 1 unless clip-value is given."""
    clip_value: Positive | None = None
    """Largest absolute value of each component of the gradient."""
    watch: Count | None = None
    """Note the gradients of the recurrent states, clipping and saturated gates at every n-th step of an epoch."""
    logger: Logger = "csv"
    """What metrics are written for besides metrics.csv; tensorboard: event files, see tensorboard --logdir."""
    precision: Precision = "32"
    """Floating point numbers to compute with; bf16-mixed: products of numbers rounded to bfloat16, sums of float32."""
    device: Device = "auto"
    """Device to train on; auto: the GPU if there is one."""
    devices: Count | None = None
    """Processes on this machine, each with a GPU of its own or some of the cores (1); torchrun or SLURM decide."""
    threads: Count | None = None
    """Threads of the processor to compute with; by default those of torch, a number for each core."""
    num_nodes: Count | None = None
    """Machines that train together (1); each starts the same command, see docs/scale.md."""
    seed: Annotated[int, Bounds(low=0, high=2**63 - 1)] = 0
    """Seed of the initial weights and of dropout."""
    out: Path | None = None
    """Run folder to write; by default a new one in runs/."""

    def __post_init__(self) -> None:
        check(self)
        for name, value in vars(self).items():
            if is_cell(name) and value is not None:
                object.__setattr__(self, name, without_file(value))
                cell = cell_of(getattr(self, name))
                for option in ("forget_bias", "chrono"):
                    if getattr(self, option) is not None:
                        check_retention_biases(cell, option)
                self._check_regularisation(cell)
        if self.forget_bias is not None and self.chrono is not None:
            raise ValueError("forget_bias and chrono exclude each other; give one of them")
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_norm and clip_value exclude each other; give one of them")
        if self.clip_norm is None and self.clip_value is None:
            object.__setattr__(self, "clip_norm", 1.0)

    def _check_regularisation(self, cell: Cell) -> None:
        """Raise a ValueError where a cell has nothing of what the options would mask."""
        for option, change in _REGULARISED.items():
            if getattr(self, option):
                change(cell)
        if self.cell_zoneout is not None and len(cell.states) == 1:
            raise ValueError(
                f"cell_zoneout: is for cells of several states, and {cell.name} has {cell.states[0]} alone"
            )

    def steps(self, batches: int) -> int:
        """The steps of the whole run, for a number of batches per epoch."""
        return self.epochs * -(-batches // self.accumulate)

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, object]:
        """Other defaults, for the data that the values name."""
        return {}

    def unused(self) -> dict[str, str]:
        """The options without an effect beside the others, each with the reason."""
        return {
            **without_effect(["init_range"], f"init is {self.init}, not uniform", when=self.init != "uniform"),
            **without_effect(
                ["decay"],
                f"schedule is {self.schedule}, neither step nor plateau",
                when=self.schedule not in ("step", "plateau"),
            ),
            **without_effect(
                ["momentum"],
                f"optimizer is {self.optimizer}, neither sgd nor rmsprop",
                when=self.optimizer not in ("sgd", "rmsprop"),
            ),
            **without_effect(["average_decay"], f"average is {self.average}, not ema", when=self.average != "ema"),
            **without_effect(["average_from"], "average is none", when=self.average == "none"),
            **without_effect(["decay_from"], f"schedule is {self.schedule}, not step", when=self.schedule != "step"),
        }
