"""What Prometheus needs to watch the processes, and to say when one needs somebody."""
