"""Adapters: what the ports of SemaLink are made of."""
