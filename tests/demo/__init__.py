"""Local servers from Python packages, and the demo of the main job on them."""
