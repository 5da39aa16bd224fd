"""Commands beside the pipeline's rooms. Each module has ``add_options`` for its parser and ``run`` for the work."""
