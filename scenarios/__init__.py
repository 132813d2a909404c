"""Stories: one plot per file, and the docstring is the plot.

A scenario uses the front door only (`from aftertide import ...`), as a reader's own script would.
"""
