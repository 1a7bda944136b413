"""Random recurrent nodes: our layers compute what ONNX Runtime computes.

GATEWISE_ONNX_NODES is how many are tried; by default 500 in `make test-all`, and few in `make test`.
"""

import os

from hypothesis import HealthCheck, given, settings

from gatewise.interchange.onnx import from_onnx
from tests.combinations import ALL
from tests.interchange.onnx.configurations import Configuration, assert_agrees, configurations

COUNT = int(os.environ.get("GATEWISE_ONNX_NODES", 500 if ALL else 60))


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(configurations())
def test_random_nodes(config: Configuration) -> None:
    found = from_onnx(config.model())["recurrent"]
    assert_agrees(config, config.in_gatewise(found))
