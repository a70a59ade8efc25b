# What the module alb refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix    = "tilt-sensor-lab"
  vpc_id         = "vpc-1"
  subnet_ids     = ["subnet-1", "subnet-2"]
  origin_name    = "origin.tilt.example.com"
  hosted_zone_id = "Z0123456789"
  origin_header = {
    name  = "X-A"
    value = "b"
  }
  target_port         = 8443
  deletion_protection = false
  access_log_bucket   = "logs"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_name_of_more_than_32_characters" {
  command = plan

  variables {
    name_prefix = "tilt-sensor-laboratory-1"
  }

  expect_failures = [var.name_prefix]
}
