"""A report in each of its formats, one module each; :mod:`bench.report.render` chooses."""
