"""The benchmark behind `./stack bench`: load, rivals written for it, and figures side by side."""
