"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train a classifier on texts with labels: sentiment, topic, kind of question.",
    (
        "texts.txt",
        "texts.csv --out labels.csv",
    ),
)
