"""The one error of the benchmark: something it needs is not there, or a command that it times failed."""


class BenchError(Exception):
    """Printed as it is; the benchmark ends with exit 1 and writes no report."""
