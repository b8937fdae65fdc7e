"""What is measured: one module for each scenario, in the order of the issue."""
