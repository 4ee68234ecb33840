"""The main component: settings, wiring, processes, command line."""
