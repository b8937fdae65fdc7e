"""Orders from files: lines become reports, and lines that cannot come back."""
