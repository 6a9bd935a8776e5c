"""Reading and writing: point clouds, images, labels, recordings, and the messages they travel in."""
