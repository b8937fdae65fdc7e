"""
The naive integration: what shops usually write by hand, written well.

A receiver publishes a task after the commit of an order. The task reads the order and
calls Button, with a kept session, timeouts and retries.
"""
