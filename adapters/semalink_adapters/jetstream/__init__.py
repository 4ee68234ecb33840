"""NATS JetStream: streams, bus, consumers, relay."""
