"""`make bench`: containerbuild and buildah side by side, on the same machine in the same minutes."""
