"""Fink's `stream2raw`: alerts from Kafka to the raw parquet store, each exactly once."""
