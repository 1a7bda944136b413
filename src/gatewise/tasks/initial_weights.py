"""The options of the recurrent layers, of initial weights and of precision, applied to a model."""

from typing import TypeVar

from torch import nn

from gatewise.layers import Init, Recurrent
from gatewise.layers.options import RegularisationOptions
from gatewise.tasks.training_options import TrainingOptions

Model = TypeVar("Model", bound=nn.Module)


def recurrent_init(options: TrainingOptions) -> Init:
    """The initialiser of the recurrent layers, whose weights `initialised` may draw over."""
    return Init("default" if options.init == "uniform" else options.init, options.forget_bias, options.chrono)


def regularisation_of(options: TrainingOptions) -> RegularisationOptions:
    """How the recurrences are regularised."""
    return {
        "recurrent_dropout": options.recurrent_dropout,
        "variational": options.variational,
        "zoneout": options.zoneout if options.cell_zoneout is None else (options.zoneout, options.cell_zoneout),
        "weight_drop": options.weight_drop,
    }


def initialised(model: Model, options: TrainingOptions) -> Model:
    """The model with the initial weights and the precision that the options ask for."""
    if options.init == "uniform":
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -options.init_range, options.init_range)
        for module in model.modules():
            if isinstance(module, Recurrent):
                module.reset_retention_biases()
    return model.double() if options.precision == "64" else model
