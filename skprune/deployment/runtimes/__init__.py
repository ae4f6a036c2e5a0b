"""What computes a deployed network's outputs: a class for each way, and none imports the others."""
