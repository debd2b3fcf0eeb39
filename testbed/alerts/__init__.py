"""ZTF-like alerts from a seed, and a producer that sends them to Kafka at a given rate."""
