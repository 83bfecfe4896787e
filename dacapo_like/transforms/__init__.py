"""Spatial transforms: as documents name them, as files hold them, and chained from the voxels of one array to those of another."""
