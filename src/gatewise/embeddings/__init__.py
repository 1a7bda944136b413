"""Word vectors from files: word2vec, GloVe, fastText. Knows no model and no data; numpy and the standard library."""

from gatewise.embeddings.description import describe
from gatewise.embeddings.loading import Coverage, Embedding, load_embedding
from gatewise.embeddings.nearest import Neighbour, nearest_words

__all__ = ["Coverage", "Embedding", "Neighbour", "describe", "load_embedding", "nearest_words"]
