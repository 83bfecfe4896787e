"""The side that writes: scripts that each write a pyramid in one way, and say how long it took and how large the process was."""
