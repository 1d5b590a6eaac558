"""Reports for people, made of verdicts that were recorded or are come to now."""
