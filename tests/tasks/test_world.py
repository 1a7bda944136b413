"""What the processes of a run tell each other, and when they wait for it."""

from gatewise.tasks import world
from gatewise.tasks.language_model.module import LanguageModelModule
from tests.tasks.small import train_small


def test_a_step_waits_for_no_sum_but_that_of_gradients(tmp_path, monkeypatch):
    """Predictions are added while the network computes, and what is reported of the step during backward."""
    events = []
    begin_add, network = world.begin_add, LanguageModelModule._nats

    def begin(*numbers):
        events.append(("begin", len(numbers)))
        end = begin_add(*numbers)
        return lambda: [events.append(("end", len(numbers))), *end()][1:]

    def computing(self, *arguments):
        events.append("network")
        return network(self, *arguments)

    def backward(self, loss):
        events.append("backward")
        loss.backward()

    monkeypatch.setattr(world, "begin_add", begin)
    monkeypatch.setattr(LanguageModelModule, "_nats", computing)
    monkeypatch.setattr(LanguageModelModule, "backward", backward)
    train_small(tmp_path, epochs=1)
    step = [("begin", 1), "network", ("end", 1), ("begin", 5), "backward", ("end", 5)]
    assert events[:12] == step + step
