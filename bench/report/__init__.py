"""Tables, verdicts and figures made from recipes and records; imports no torch."""
