"""
Comparing what should be known with what is: the shop, our rows, and Button.

``shop`` compares the shop's orders with our rows, and ``button`` our rows with
what Button has. Both look at a page of orders at a time, and ``run`` turns the
pages, writes down what was found, and how far it has come.
"""
