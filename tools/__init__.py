"""Programs for people who work on the platform: the stack, drills, benchmarks, Postman."""
