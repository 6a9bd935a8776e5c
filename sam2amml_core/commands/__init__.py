"""Commands that need neither ROS nor torch; the command line calls them."""
