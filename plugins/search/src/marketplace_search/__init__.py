"""What people keep for later: the plugin that ``marketplace new plugin`` writes. Put your own in its place."""
