"""
What shops write by hand, as well as it is usually written.

A receiver publishes a task once the order is committed, the task reads the
order and calls Button, with a session that is kept, timeouts, and retries.
"""
