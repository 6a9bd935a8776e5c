"""What LiDAR sweeps are like in numbers, to be compared between the synthetic world and real sensors."""
