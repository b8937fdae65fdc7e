"""
Faults: processes that are killed, and servers that fail, while a shop sells.

``run`` starts the servers (``servers``) and pytest. Each test opens a ``lab``: the
example shop with workers, beat, a sandbox, and sellers (``seller``) that place and
change orders. A ``gate`` in front of a server cuts connections or swallows packets.
At the end ``utils.assert_agreement`` compares what the shop (``books``), the rows and
Button hold, order by order.
"""
