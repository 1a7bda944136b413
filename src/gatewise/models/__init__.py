"""Models: recurrent layers with embeddings, pooling, attention and read-outs."""
