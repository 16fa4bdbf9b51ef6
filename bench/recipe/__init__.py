"""Recipes: one YAML file a table, read into typed, checked values."""

from bench.recipe.library import Library, load
from bench.recipe.model import Cell, Claim, Data, Ref, Row, Stage, Subset, Table, Words
from bench.recipe.survey import Stages, Survey, Work
from bench.schedules import Schedule

__all__ = [
    "Cell",
    "Claim",
    "Data",
    "Library",
    "Ref",
    "Row",
    "Schedule",
    "Stage",
    "Stages",
    "Subset",
    "Survey",
    "Table",
    "Words",
    "Work",
    "load",
]
