"""Pure functions from ndarray to ndarray: no config, no I/O."""
