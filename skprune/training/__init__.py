"""The only place that knows skorch: nets, stages of training, predictions."""
