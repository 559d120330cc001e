"""The parts of the benchmark: what is installed, served, run, measured and reported."""
