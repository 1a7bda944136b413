"""Models: recurrent layers with what goes before and after them."""
