"""Options are checked, named in every message, and survive TOML."""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.tasks.options import Bounds, Count, Positive, build, check, read_toml, to_toml


@dataclasses.dataclass(frozen=True, kw_only=True)
class Some:
    text: str = "a"
    kind: Literal["one", "two"] = "one"
    count: Count = 1
    rate: Positive | None = None
    share: Annotated[float, Bounds(low=0, high=1)] = 0.5
    flag: bool = False
    files: tuple[Path, ...] = ()
    out: Path | None = None

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cuont": 2}, "unknown option 'cuont'; did you mean count?"),
        ({"zzz": 2}, "unknown option 'zzz'; the options are: text, kind, count, rate, share, flag, files, out"),
        ({"kind": "three"}, "kind: expected one of one, two, got 'three'"),
        ({"count": 0}, "count: expected a number at least 1, got 0"),
        ({"rate": 0.0}, "rate: expected a number above 0, got 0.0"),
        ({"rate": float("nan")}, "rate: expected a number above 0, got nan"),
        ({"rate": float("inf")}, "rate: expected a number above 0, got inf"),
        ({"share": 1.5}, "share: expected a number at least 0 and at most 1, got 1.5"),
    ],
)
def test_a_value_out_of_bounds(values, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        build(Some, values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"count": 1.5}, "count: expected int, got 1.5"),
        ({"count": True}, "count: expected int, got True"),
        ({"rate": "fast"}, "rate: expected float, got 'fast'"),
        ({"text": 3}, "text: expected str, got 3"),
        ({"flag": 1}, "flag: expected bool, got 1"),
        ({"files": 3}, "files: expected a sequence of Path, got 3"),
        ({"files": ["a", 3]}, "files: expected a sequence of Path"),
        ({"count": None}, "count: expected int, got None"),
    ],
)
def test_a_value_of_the_wrong_type(values, told):
    with pytest.raises(TypeError, match=re.escape(told)):
        build(Some, values)


def test_paths_may_be_strings_and_one_may_stand_for_several():
    assert build(Some, {"files": "a", "out": "b"}) == Some(files=(Path("a"),), out=Path("b"))
    assert build(Some, {"files": ["a", Path("b")]}).files == (Path("a"), Path("b"))
    assert build(Some, {"files": Path("a")}).files == (Path("a"),)
    assert build(Some, {"rate": 1}).rate == 1


@given(
    st.builds(
        Some,
        text=st.text(),
        kind=st.sampled_from(["one", "two"]),
        count=st.integers(1),
        rate=st.none() | st.floats(1e-300, 1e300),
        share=st.floats(0, 1),
        flag=st.booleans(),
        files=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).map(Path)).map(
            tuple
        ),
    )
)
def test_options_survive_toml(tmp_path_factory, options):
    path = tmp_path_factory.mktemp("toml") / "options.toml"
    path.write_text(to_toml(options), encoding="utf-8", newline="")
    assert build(Some, read_toml(path)) == options


def test_what_is_not_toml_is_named(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("hidden : 3")
    with pytest.raises(ValueError, match=re.escape(f"{path}: not TOML: ")):
        read_toml(path)
