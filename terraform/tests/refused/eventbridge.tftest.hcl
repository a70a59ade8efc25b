# What the module eventbridge refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix = "tilt-sensor-lab"
  schedules = {
    one = {
      expression    = "rate(5 minutes)"
      function_name = "f"
      function_arn  = "arn:aws:lambda:us-east-1:123456789012:function:f"
      max_retries   = 2
      max_age_s     = 300
    }
  }
  stopping_tasks = {
    cluster_arn   = "arn:aws:ecs:us-east-1:123456789012:cluster/a"
    service_name  = "s"
    function_name = "f"
    function_arn  = "arn:aws:lambda:us-east-1:123456789012:function:f"
  }
  failed_runs_arn = "arn:aws:sqs:us-east-1:123456789012:q"
}

run "what_is_right_is_taken" {
  command = plan
}

run "one_minutes" {
  command = plan

  variables {
    schedules = { one = merge(var.schedules.one, { expression = "rate(1 minutes)" }) }
  }

  expect_failures = [var.schedules]
}

run "a_period_without_a_unit" {
  command = plan

  variables {
    schedules = { one = merge(var.schedules.one, { expression = "5m" }) }
  }

  expect_failures = [var.schedules]
}

run "more_retries_than_eventbridge_makes" {
  command = plan

  variables {
    schedules = { one = merge(var.schedules.one, { max_retries = 186 }) }
  }

  expect_failures = [var.schedules]
}

run "an_age_of_less_than_a_minute" {
  command = plan

  variables {
    schedules = { one = merge(var.schedules.one, { max_age_s = 30 }) }
  }

  expect_failures = [var.schedules]
}
