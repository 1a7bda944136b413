"""``python -m gatewise``: the same as the command ``gatewise``."""

from gatewise.cli import main

main()
