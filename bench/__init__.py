"""kdbench: reproduce the tables of knowledge-distillation papers, with seeds, costs and verdicts."""

__version__ = "0.2.0"
