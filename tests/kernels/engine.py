"""For tests of the compiled engine: they have nothing to test where the package was installed without it."""

import pytest

from gatewise.kernels.cpu import library

needs_engine = pytest.mark.skipif(library.why_missing() is not None, reason=str(library.why_missing()))
