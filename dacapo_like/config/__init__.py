"""Documents: read, checked and turned into array configs."""
