"""What should not be published: secrets, trust anchors, and formats that run code when loaded."""
