"""Recurrent layers: `Recurrent` for any cell, and the classes with torch's names."""

from gatewise.layers.clipping import Clip
from gatewise.layers.gru import GRU, BiGRU
from gatewise.layers.initialisers import Init
from gatewise.layers.lstm import LSTM, BiLSTM
from gatewise.layers.mask_seeds import mask_seed
from gatewise.layers.peephole_lstm import PeepholeLSTM
from gatewise.layers.recurrent import Recurrent
from gatewise.layers.rnn import RNN, BiRNN
from gatewise.layers.stack import Stack
from gatewise.layers.torch_cells import GRUCell, LSTMCell, RNNCell
from gatewise.layers.truncated import TBPTT

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "TBPTT",
    "BiGRU",
    "BiLSTM",
    "BiRNN",
    "Clip",
    "GRUCell",
    "Init",
    "LSTMCell",
    "PeepholeLSTM",
    "RNNCell",
    "Recurrent",
    "Stack",
    "mask_seed",
]
