"""What the decoder makes of a memory: exact greedy decoding, quality measures, controls."""
