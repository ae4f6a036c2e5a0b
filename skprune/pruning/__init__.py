"""The engine of pruning, which knows torch and the strategies, and no skorch."""
