"""
From a save in the shop to a due row, in the shop's own transaction.

Read ``receivers`` (the shop's signals), ``watching`` (the orders that a saved, deleted
or linked object concerns), ``marking`` (the whole way of a save), ``stored`` (whether
an instance is what the database keeps), ``identity`` (which row an order has),
``upsert`` (the one write), ``ownership`` (two orders with one id, and renamed models).
``adapters`` is how a shop describes its orders, ``tokens`` keeps the attribution token
of an order that has no field for it, and ``savepoints`` keeps a failing statement from
breaking the shop's transaction.
"""
