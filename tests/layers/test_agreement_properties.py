"""Agreement with the transcription for sizes, lengths and resets that hypothesis chooses."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agreement import CELLS, Case, check
from tests.combinations import examples


@st.composite
def cases(draw: st.DrawFn) -> Case:
    steps, batch = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    lengths = draw(st.none() | st.tuples(*[st.integers(0, steps)] * max(batch, 1)))
    bidirectional = draw(st.booleans())
    return Case(
        draw(st.sampled_from(sorted(CELLS))),
        steps,
        batch,
        input_size=draw(st.integers(1, 4)),
        hidden_size=draw(st.integers(1, 5)),
        num_layers=draw(st.integers(1, 2)),
        bias=draw(st.booleans()),
        batch_first=draw(st.booleans()),
        bidirectional=bidirectional,
        merge=draw(st.sampled_from(["concat", "sum", "mean", "mul", "learned", None])) if bidirectional else "concat",
        lengths=lengths,
        reset=draw(st.booleans()),
        initial=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
    )


@settings(max_examples=examples(60), deadline=None)
@given(cases())
def test_agrees_with_the_transcription(case: Case):
    check(case)
