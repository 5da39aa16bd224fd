"""Settings of all tests."""

import os

from hypothesis import settings

# One thread a process, as in the workflow's jobs: several on a busy machine are slower than one by far.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

# A busy machine is no reason to fail; examples are the same on every run.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


def pytest_collection_modifyitems(items):
    """The tests on a cluster take longest: one process begins with them while the other does the rest."""
    items.sort(key=lambda item: item.path.name != "test_slurm.py")
