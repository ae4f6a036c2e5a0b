"""From a fitted estimator to what serves predictions: small, fast, without training code."""
