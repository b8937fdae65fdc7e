"""
The example shop in a real browser, with its worker and a Button on this machine.

Run by ``make test-browser``. Nothing here looks into the database: what is true is
what a person sees, and what the sandbox holds.
"""
