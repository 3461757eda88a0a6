"""For all tests."""

import os

# Imported here, and not at the end of a session by its own plugin: Python 3.11 may fail to compile a module while the
# coroutines of forgotten workflows are being collected ("AST constructor recursion depth mismatch").
import hypothesis  # noqa: F401

# A console that finds this when it is made, at import, keeps that width; tests give it one of their own.
os.environ.pop("COLUMNS", None)
