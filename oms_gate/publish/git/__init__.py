"""Models in Git repositories: what a push would publish."""
