"""What is deployed: the image, the unit, the stack files."""
