"""Quotas of control groups, in file systems as they are found."""

from pathlib import Path

import pytest

from gatewise.kernels.cpu.quota import quota


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


OWN = "proc/self/cgroup"
FIRST = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({OWN: "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({OWN: "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({OWN: "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),  # /proc is not mounted
        # The group of a service, and that above it with less.
        (
            {
                OWN: "0::/system.slice/a.service\n",
                "sys/fs/cgroup/system.slice/a.service/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
            },
            3,
        ),
        ({OWN: "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        # Version 1, as containers see it: the path is that outside.
        (
            {
                OWN: "4:cpu,cpuacct:/docker/ab\n3:memory:/docker/ab\n",
                f"{FIRST}/cpu.cfs_quota_us": "250000\n",
                f"{FIRST}/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                OWN: "2:cpu:/job\n1:name=systemd:/\n0::/\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ({OWN: "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, None),
        ({OWN: "4:cpuset:/a\n", "sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "1\n"}, None),
        ({OWN: "nonsense\n", "sys/fs/cgroup/cpu.max": "?\n"}, None),
        ({}, None),
    ],
)
def test_what_is_granted(tmp_path: Path, files: dict[str, str], expected: int | None):
    assert quota(put(tmp_path, files)) == expected
