"""The patching engine: grids of patches, samplers, stitching. It sees arrays and nothing else."""
