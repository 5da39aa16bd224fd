"""Language models: pretrained from scratch on a mixture, or loaded by name."""
