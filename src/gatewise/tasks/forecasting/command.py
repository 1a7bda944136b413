"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train on time series, one or many: forecast the steps to come, with intervals.",
    (
        "history.csv --format csv",
        "history.csv --follow",
    ),
)
