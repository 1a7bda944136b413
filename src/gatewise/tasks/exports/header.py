"""What files that hold more than weights say of their run, as texts."""

import gatewise
from gatewise.tasks.trained import Trained


def header_of(trained: Trained) -> dict[str, str]:
    """The version, the task, the configuration, and the vocabulary with the names of labels."""
    folder = trained.folder
    return {
        "gatewise": gatewise.__version__,
        "task": trained.name,
        "config": folder.config.read_text(encoding="utf-8"),
        "vocabulary": folder.vocabulary.read_text(encoding="utf-8"),
    }
