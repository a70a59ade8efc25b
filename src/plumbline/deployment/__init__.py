"""What Terraform deploys, built from a checkout, and what it costs."""
