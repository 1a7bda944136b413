"""What the command line says of the task."""

from gatewise.tasks.command import Command

COMMAND = Command(
    "Train a tagger on words with tags: parts of speech, named entities; or on characters.",
    (
        "sentences.txt",
        "words.conllu --out tags.conll",
    ),
)
