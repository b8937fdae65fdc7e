"""
What the design promises, shown on real servers with processes that are killed.

Each test starts what a user would start, in processes of their own, and ends
with a comparison of what the shop, the database and Button hold, order by
order. They need servers, which ``make test-services`` starts.
"""
