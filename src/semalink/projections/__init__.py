"""Read models: disposable, rebuilt from the logs."""
