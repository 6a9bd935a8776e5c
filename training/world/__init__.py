"""The synthetic street world: procedural streets, ray-cast by a spinning LiDAR and by cameras, with exact truth."""
