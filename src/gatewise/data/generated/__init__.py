"""Generated tasks: the classic tests of recurrent networks, drawn by their published definitions."""
