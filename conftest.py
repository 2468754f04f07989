"""The plugins of the suite, found from any folder: how notebooks run, how much is run, and as on which system."""

pytest_plugins = ["arion_lib.workbook.strict", "tests.selection", "tests.elsewhere"]
