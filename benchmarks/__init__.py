"""Benchmarks: ``python -m benchmarks`` runs all of them, ``make bench`` writes what they say into docs/performance.md.

Each is a module whose name stands in ``benchmarks.__main__.NAMES``. It has a ``TITLE``, a docstring that says what it shows, which the page
shows too, and a function ``run`` that takes a `Run` and yields each `Table` as soon as it is there. A page of that name in ``remarks``
is put behind its tables: what a person has to say of them, above all why something is not as wanted.
"""
