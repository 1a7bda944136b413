"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train on pairs of texts, to write the second for the first: translation, summaries, normal forms.",
    (
        "sources.txt",
        "sources.txt --beam 1 --out answers.txt",
    ),
)
