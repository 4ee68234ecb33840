"""The real PostgreSQL and NATS servers, started and stopped with the process that needs them."""
