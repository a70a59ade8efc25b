# What the module waf refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix        = "tilt-sensor-lab"
  rate_limit         = 2000
  log_retention_days = 30
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_limit_below_ten" {
  command = plan

  variables {
    rate_limit = 5
  }

  expect_failures = [var.rate_limit]
}
