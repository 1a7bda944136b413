"""Options are checked, named in every message, and survive TOML."""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.tasks import task_names
from gatewise.tasks.options import (
    Bounds,
    Count,
    Positive,
    build,
    changed,
    check,
    choose,
    read_toml,
    to_toml,
    without_effect,
)


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

    @classmethod
    def defaults_for(cls, values):
        return {"count": 7, "share": 0.25} if values.get("text") == "b" else {}

    def unused(self):
        return without_effect(["rate"], "kind is one", when=self.kind == "one")


@pytest.mark.parametrize(
    ("values", "reported"),
    [
        ({"cuont": 2}, "unknown option 'cuont'; did you mean count?"),
        ({"zzz": 2}, "unknown option 'zzz'; the options are: text, kind, count, rate, share, flag, files, out"),
        ({"kind": "three"}, "kind: expected one of one, two, got 'three'"),
        ({"count": 0}, "count: expected a number at least 1, got 0"),
        ({"rate": 0.0}, "rate: expected a number above 0, got 0.0"),
        ({"rate": float("nan")}, "rate: expected a number above 0, got nan"),
        ({"rate": float("inf")}, "rate: expected a number above 0, got inf"),
        ({"share": 1.5}, "share: expected a number at least 0 and at most 1, got 1.5"),
        ({"count": 2**63}, "count: expected a number of at most 63 bits, got one of 64"),
        ({"rate": 10**400}, "rate: expected a number of at most 63 bits, got one of 1329"),
    ],
)
def test_a_value_out_of_bounds(values, reported):
    with pytest.raises(ValueError, match=re.escape(reported)):
        build(Some, values)


@pytest.mark.parametrize(
    ("values", "reported"),
    [
        ({"count": 1.5}, "count: expected int, got 1.5"),
        ({"count": True}, "count: expected int, got True"),
        ({"rate": "fast"}, "rate: expected float, got 'fast'"),
        ({"text": 3}, "text: expected str, got 3"),
        ({"flag": 1}, "flag: expected bool, got 1"),
        (
            {"files": 3},
            "files: expected paths of files, got 3",
        ),
        ({"files": ["a", ("b", "c")]}, "files: expected paths of files, got ('b', 'c')"),
        ({"count": None}, "count: expected int, got None"),
    ],
)
def test_a_value_of_the_wrong_type(values, reported):
    with pytest.raises(TypeError, match=re.escape(reported)):
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
        count=st.integers(1, 2**63 - 1),
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


@pytest.mark.parametrize("text", ["hidden : 3", "hidden = " + "9" * 5000])
def test_what_is_not_toml_is_named(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: not TOML: ")):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("[train]\ncount = 3\n", "options stand at the top level, outside of tables; got the table [train]"),
        ("count = 3\n[[some]]\na = 1\n", "got the table [some]"),
        ("some-name = 3\nsome_name = 4\n", "some_name is there twice, with - and with _"),
    ],
)
def test_tables_and_options_given_twice_are_rejected(tmp_path, text, reported):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + ".*" + re.escape(reported)):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "error", "reported"),
    [
        ("count = 3.5\n", TypeError, "count: expected int, got 3.5"),
        ("count = 0\n", ValueError, "count: expected a number at least 1, got 0"),
        ('files = ["a", 3]\n', TypeError, "files: expected paths of files"),
        ("conut = 3\n", ValueError, "unknown option 'conut'; did you mean count?"),
        ("rate = 3\n", ValueError, "rate: has no effect: kind is one"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path, text, error, reported):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(error, match=re.escape(f"{path}: {reported}")):
        choose(Some, {}, path)


def test_what_is_given_goes_before_a_file_that_before_defaults_of_the_data_and_that_before_defaults(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('count = 3\ntext = "b"\n')
    assert choose(Some, {"kind": "two", "rate": 1}, path) == Some(text="b", kind="two", count=3, rate=1, share=0.25)
    assert choose(Some, {"text": "c", "count": 1}, path) == Some(text="c")
    # A value that is given stays, that of the default too.
    assert choose(Some, {"text": "b", "count": 1}) == Some(text="b", count=1, share=0.25)


def test_an_option_without_effect_is_rejected_unless_a_file_has_its_default(tmp_path):
    with pytest.raises(ValueError, match=r"^rate: has no effect: kind is one$"):
        choose(Some, {"rate": None})
    path = tmp_path / "config.toml"
    path.write_text(to_toml(Some()))
    assert choose(Some, {}, path) == Some()
    path.write_text(to_toml(Some(rate=2.0)))
    assert "rate" not in to_toml(Some(rate=2.0), omit=["rate"])
    assert choose(Some, {"kind": "two"}, path) == Some(kind="two", rate=2.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settled:
    """Its width follows from the kind, and wide needs deep."""

    kind: Literal["one", "two"] = "one"
    width: int | None = None
    wide: bool = False
    deep: bool = False

    def __post_init__(self) -> None:
        if self.width is None:
            object.__setattr__(self, "width", 1 if self.kind == "one" else 2)
        if self.wide and not self.deep:
            raise ValueError("wide: needs deep")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"kind": "two"}, {"kind": "two"}),
        ({"width": 2}, {"width": 2}),
        ({"kind": "two", "width": 2}, {"kind": "two"}),
        ({"kind": "two", "width": 1}, {"kind": "two", "width": 1}),
        ({"wide": True, "deep": True}, {"wide": True, "deep": True}),
    ],
)
def test_changed_options_are_those_that_do_not_follow_from_others(given, expected):
    options = Settled(**given)
    assert changed(options) == expected
    assert Settled(**changed(options)) == options


@pytest.mark.parametrize("name", task_names.names())
def test_options_of_a_task_at_their_defaults_are_not_changed(name):
    assert changed(task_names.options_of(name)()) == {}
