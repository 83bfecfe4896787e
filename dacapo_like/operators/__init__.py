"""Operators: one module each. An operator derives a spec, says what it needs, and computes."""
