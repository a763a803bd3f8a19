"""The plugin that speaks to the simulated payment gateway."""
