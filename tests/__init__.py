"""A package, so that one that torch-fidelity 0.4.0 installs under the same name is not taken for it."""
