"""How pytest runs the notebooks stands in arion_lib/workbook/strict.py; this lets pytest find it from any folder."""

pytest_plugins = ["arion_lib.workbook.strict"]
