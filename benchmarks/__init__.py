"""What it costs, against the limit and against others: `make bench`. Not part of the package."""
