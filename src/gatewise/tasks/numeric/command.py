"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train on sequences of numbers, many at each step: label them, label their steps, or predict the next step.",
    (
        "sequences.csv",
        "sequences.csv --out answers.csv",
    ),
    data="--data motions.csv ",
)
