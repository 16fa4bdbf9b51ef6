"""Networks: what they declare, their modules, and their initial weights."""
