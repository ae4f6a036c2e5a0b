"""Networks with few weights left: a program of sparse products, and two ways to run it."""
