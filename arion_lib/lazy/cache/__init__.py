"""What one reader pulled, every other reader finds."""
