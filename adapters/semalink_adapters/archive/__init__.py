"""Months of logs as Parquet files in object storage."""
