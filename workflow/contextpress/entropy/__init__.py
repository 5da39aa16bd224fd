"""How surprising each passage is: to a model, and without one."""
