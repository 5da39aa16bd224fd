"""How long encoder and decoder take."""
