"""A compressor: an encoder read out into memory vectors, a connector, and the decoder that reads them."""
