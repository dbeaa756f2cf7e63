"""The benchmark behind `./stack bench`: scenarios, baselines, and figures side by side."""
