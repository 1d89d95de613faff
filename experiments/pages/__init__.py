"""Figures and pages: `canvas` and `charts` draw, `html` renders and inlines, `report` makes the pages of runs."""
