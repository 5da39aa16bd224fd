"""Settings of all tests."""

from hypothesis import settings

# A busy machine is no reason to fail; examples are the same on every run.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")
