"""A report as one HTML file that holds everything behind it, and an index of all tables; imports no torch."""
