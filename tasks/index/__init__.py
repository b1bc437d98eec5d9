"""The index stage: which videos there are, and which frames they hold."""
