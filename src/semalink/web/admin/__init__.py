"""The operators' API: accounts, keys, credits, senders, routes, and any message."""
