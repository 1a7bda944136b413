"""A plugin of pytest: the engine of the folder ``GATEWISE_TEST_ENGINE``, and no memory that is reused.

A buffer that returns to a pool is still the process's own, so a sanitizer would see no use of it after its end.
"""

import os
from pathlib import Path

from gatewise.kernels.cpu import buffer_pool, library, workspace

library.FOLDER = Path(os.environ["GATEWISE_TEST_ENGINE"])
buffer_pool.LIMIT = 0
workspace.KEPT = 0
