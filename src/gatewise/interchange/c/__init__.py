"""Models as C: a folder with the engine's sources, the cells of the model and its weights, without Python or torch."""

from gatewise.interchange.c.exporting import CExport, to_c

__all__ = ["CExport", "to_c"]
