"""What this package is measured against, and how."""
