"""The gate on the way out: nothing is published unsigned, incomplete or against policy."""
