"""A framework in which an online marketplace is assembled from plugins."""
