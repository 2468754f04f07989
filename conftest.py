"""The plugins of the suite, found from any folder: how notebooks run, and how much of the suite a run takes."""

pytest_plugins = ["arion_lib.workbook.strict", "tests.selection"]
