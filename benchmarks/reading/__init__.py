"""Processes that read what they are asked for: one for this package and the libraries that it stands on, one for each environment of others."""
