"""Moves months of logs into the archive and back."""
