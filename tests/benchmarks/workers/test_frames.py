import io

import numpy
import pytest

from benchmarks.workers.frames import receive, send


def test_messages_arrive_in_order():
    stream = io.BytesIO()
    send(stream, ("turn", 3))
    send(stream, numpy.arange(5, dtype=numpy.float32))
    stream.seek(0)
    assert receive(stream) == ("turn", 3)
    assert receive(stream).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kept", [0, 3, 12])
def test_a_stream_that_ends_is_reported(kept):
    stream = io.BytesIO()
    send(stream, "a message")
    with pytest.raises(EOFError, match="has gone"):
        receive(io.BytesIO(stream.getvalue()[:kept]))
