"""Recurrent layers: `Recurrent` for any cell, and the classes with torch's names."""

from gatewise.layers.clipping import Clip
from gatewise.layers.initialisers import Init
from gatewise.layers.named import GRU, LSTM, RNN, BiGRU, BiLSTM, BiRNN, PeepholeLSTM
from gatewise.layers.recurrent import Recurrent
from gatewise.layers.truncated import TBPTT

__all__ = ["GRU", "LSTM", "RNN", "TBPTT", "BiGRU", "BiLSTM", "BiRNN", "Clip", "Init", "PeepholeLSTM", "Recurrent"]
