"""Tokenizer, token arrays, passages and their control ladder."""
