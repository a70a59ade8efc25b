"""What `./bench` runs."""
