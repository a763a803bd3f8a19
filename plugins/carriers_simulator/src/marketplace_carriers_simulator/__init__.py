"""The carriers_simulator plugin: speaks to the simulated carrier."""
