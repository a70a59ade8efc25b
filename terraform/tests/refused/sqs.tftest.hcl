# What the module sqs refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix = "tilt-sensor-lab"
  queues = {
    distributing = {
      fifo                    = true
      visibility_timeout_s    = 180
      retention_s             = 345600
      max_receive_count       = 5
      dead_letter_retention_s = 1209600
    }
    db1 = {
      fifo                    = false
      visibility_timeout_s    = 180
      retention_s             = 345600
      max_receive_count       = 5
      dead_letter_retention_s = 1209600
    }
    "mqtt-command" = {
      fifo                    = true
      visibility_timeout_s    = 180
      retention_s             = 345600
      max_receive_count       = 5
      dead_letter_retention_s = 1209600
    }
    "lorawan-command" = {
      fifo                    = true
      visibility_timeout_s    = 180
      retention_s             = 345600
      max_receive_count       = 5
      dead_letter_retention_s = 1209600
    }
  }
  consumer_timeouts_s = {
    db1 = 30
  }
  rule_arns = ["arn:aws:events:us-east-1:123456789012:rule/a"]
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_name_that_ends_in_fifo_already" {
  command = plan

  variables {
    queues = merge(var.queues, { "db1.fifo" = var.queues.db1 })
  }

  expect_failures = [var.queues]
}

run "a_visibility_of_more_than_twelve_hours" {
  command = plan

  variables {
    queues = merge(var.queues, { db1 = merge(var.queues.db1, { visibility_timeout_s = 43201 }) })
  }

  expect_failures = [var.queues]
}

run "a_retention_of_less_than_a_minute" {
  command = plan

  variables {
    queues = merge(var.queues, { db1 = merge(var.queues.db1, { retention_s = 30 }) })
  }

  expect_failures = [var.queues]
}

run "dead_letters_that_end_with_their_messages" {
  command = plan

  variables {
    queues = merge(var.queues, { db1 = merge(var.queues.db1, { dead_letter_retention_s = 345600 }) })
  }

  expect_failures = [var.queues]
}

run "one_receive" {
  command = plan

  variables {
    queues = merge(var.queues, { db1 = merge(var.queues.db1, { max_receive_count = 1 }) })
  }

  expect_failures = [var.queues]
}

run "a_visibility_of_less_than_six_timeouts" {
  command = plan

  variables {
    queues = merge(var.queues, { db1 = merge(var.queues.db1, { visibility_timeout_s = 179 }) })
  }

  expect_failures = [var.queues]
}
