"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train a language model on text: the next character, word or byte pair.",
    (
        '--prompt "The " --temperature 0.7',
        '--prompt "The " --next 5',
    ),
)
