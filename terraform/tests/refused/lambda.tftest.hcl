# What the module lambda refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix = "tilt-sensor-lab"
  vpc_id      = "vpc-1"
  subnet_ids  = ["subnet-1", "subnet-2"]
  functions = {
    one = {
      function_name = "f"
      description   = "d"
      handler       = "a.b"
      timeout_s     = 30
      memory_mb     = 256
      alone         = false
      role_arn      = "arn:aws:iam::123456789012:role/a"
      environment = {
        A = "b"
      }
    }
  }
  runtime      = "python3.12"
  architecture = "x86_64"
  archive = {
    bucket           = "b"
    key              = "k"
    version_id       = "1"
    source_code_hash = "a"
  }
  event_sources = {
    one = {
      function        = "one"
      queue_arn       = "arn:aws:sqs:us-east-1:123456789012:q"
      fifo            = true
      batch_size      = 10
      window_s        = 0
      max_concurrency = 2
    }
  }
  retries = {
    one = {
      max_retries = 2
      max_age_s   = 300
    }
  }
  failed_runs_arn    = "arn:aws:sqs:us-east-1:123456789012:q"
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_timeout_of_more_than_15_minutes" {
  command = plan

  variables {
    functions = { one = merge(var.functions.one, { timeout_s = 901 }) }
  }

  expect_failures = [var.functions]
}

run "too_little_memory" {
  command = plan

  variables {
    functions = { one = merge(var.functions.one, { memory_mb = 64 }) }
  }

  expect_failures = [var.functions]
}

run "a_name_with_a_blank" {
  command = plan

  variables {
    functions = { one = merge(var.functions.one, { function_name = "a b" }) }
  }

  expect_failures = [var.functions]
}

run "a_retired_runtime" {
  command = plan

  variables {
    runtime = "python3.8"
  }

  expect_failures = [var.runtime]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    architecture = "aarch64"
  }

  expect_failures = [var.architecture]
}

run "eleven_messages_from_a_fifo_queue" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { batch_size = 11 }) }
  }

  expect_failures = [var.event_sources]
}

run "a_window_at_a_fifo_queue" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { window_s = 1 }) }
  }

  expect_failures = [var.event_sources]
}

run "twenty_five_messages_without_a_window" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { fifo = false, batch_size = 25 }) }
  }

  expect_failures = [var.event_sources]
}

run "a_window_of_more_than_five_minutes" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { fifo = false, window_s = 301 }) }
  }

  expect_failures = [var.event_sources]
}

run "one_run_at_a_time_from_a_queue" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { max_concurrency = 1 }) }
  }

  expect_failures = [var.event_sources]
}

run "a_queue_that_feeds_nobody" {
  command = plan

  variables {
    event_sources = { one = merge(var.event_sources.one, { function = "two" }) }
  }

  expect_failures = [var.event_sources]
}

run "more_retries_than_lambda_makes" {
  command = plan

  variables {
    retries = { one = merge(var.retries.one, { max_retries = 3 }) }
  }

  expect_failures = [var.retries]
}

run "an_age_of_less_than_a_minute" {
  command = plan

  variables {
    retries = { one = merge(var.retries.one, { max_age_s = 30 }) }
  }

  expect_failures = [var.retries]
}
