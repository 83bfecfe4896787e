"""Documents to start with, drafted from what there is on disk."""
