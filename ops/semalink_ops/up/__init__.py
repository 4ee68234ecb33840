"""The whole platform on one machine: its servers and processes, started, watched and stopped."""
