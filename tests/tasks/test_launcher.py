"""What launchers write into the environment."""

import pytest

from gatewise.tasks.launcher import RankInfo, check_agrees, rank_info_of

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "n0",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
}
SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NTASKS": "4",
}


def test_a_process_on_its_own_has_no_rank():
    assert rank_info_of({}) is None
    assert rank_info_of({**TORCHRUN, "WORLD_SIZE": "1"}) is None
    assert rank_info_of({"RANK": "1"}) is None
    # A batch script of SLURM outside of srun.
    assert rank_info_of({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) is None


def test_the_places_that_launchers_give():
    assert rank_info_of(TORCHRUN) == RankInfo(3, 4, 1, 2, "torchrun")
    assert rank_info_of(SLURM) == RankInfo(3, 4, 1, 2, "SLURM")
    assert rank_info_of({**SLURM, "SLURM_STEP_NUM_NODES": "3"}) == RankInfo(3, 4, 1, None, "SLURM")


@pytest.mark.parametrize("missing", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_a_missing_variable_is_named(missing):
    with pytest.raises(ValueError, match=f"{missing}: is not set"):
        rank_info_of({name: value for name, value in TORCHRUN.items() if name != missing})


def test_a_variable_that_is_not_a_number():
    with pytest.raises(ValueError, match="RANK: expected a number, got 'first'"):
        rank_info_of({**TORCHRUN, "RANK": "first"})


@pytest.mark.parametrize(
    ("options", "rejected"),
    [
        ((None, None), None),
        ((2, None), None),
        ((2, 2), None),
        ((4, None), "devices: 4"),
        ((None, 1), "num_nodes: 1"),
        ((1, 4), "devices: 1"),
    ],
)
def test_options_that_contradict_the_launcher_are_rejected(options, rejected):
    if rejected is None:
        check_agrees(RankInfo(3, 4, 1, 2, "torchrun"), *options)
        return
    with pytest.raises(
        ValueError, match=rf"{rejected} contradicts the launcher \(torchrun\), which started 4 processes"
    ):
        check_agrees(RankInfo(3, 4, 1, 2, "torchrun"), *options)


def test_a_launcher_that_does_not_say_how_many_are_on_a_machine():
    position = RankInfo(3, 4, 1, None, "RANK and WORLD_SIZE")
    check_agrees(position, 2, 2)
    check_agrees(position, 2, None)
    with pytest.raises(ValueError, match="num_nodes: 1"):
        check_agrees(position, 2, 1)
