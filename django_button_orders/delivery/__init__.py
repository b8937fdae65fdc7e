"""From a due row to a recorded answer: claim, prepare, call, judge, record."""
