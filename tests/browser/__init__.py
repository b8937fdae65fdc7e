"""
The example shop in a real browser, with a worker and the sandbox.

Run these tests with ``make test-browser``. They check what a person sees and what the
sandbox received, and never read the database.
"""
