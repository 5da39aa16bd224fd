"""Trained compressors put to use outside of a study: from text to memory and back."""
