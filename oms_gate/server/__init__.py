"""The gate as a service."""
