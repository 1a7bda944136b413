"""Weights, layers and files of Keras, in and out."""

from gatewise.interchange.keras.exporting import KerasLayer, to_keras
from gatewise.interchange.keras.importing import from_keras

__all__ = ["KerasLayer", "from_keras", "to_keras"]
