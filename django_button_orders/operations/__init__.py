"""What an operator asks for: retry, cancel, dismiss, resume, backfill, prune."""
