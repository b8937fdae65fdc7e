from __future__ import annotations


def pytest_configure(config):
    # Oscar and what it needs warn of each other. Our own warnings stay errors.
    for what in (":::oscar", ":::haystack", ":Using .* is deprecated. Use"):
        config.addinivalue_line("filterwarnings", f"ignore{what}")
