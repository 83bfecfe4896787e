"""Nothing here is a test of its own."""

collect_ignore = [
    "logged.py"
]  # to import it is to register its type, for all that is tested after it
