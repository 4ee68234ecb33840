"""The SMS aggregators, one file a provider."""
