"""Sources: one module per format. Each opens headers only; its heavy import is inside ``open()``."""
