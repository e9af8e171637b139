"""The agent `clerk`: assesses compliance by a grammar of requirements and templates, without a model."""
