"""The formats in which the model of a run is exported, one file each."""
