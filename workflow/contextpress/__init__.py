"""Tests, by experiment, how the data decides how well a context can be compressed into memory vectors."""
