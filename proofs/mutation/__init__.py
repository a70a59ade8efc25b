"""Changes the product's code, one place at a time, and asks whether a test notices."""
