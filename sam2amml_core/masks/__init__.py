"""Masks of images: one exclusive id per pixel, made by superpixels or by SAM2 prompted by the LiDAR."""
