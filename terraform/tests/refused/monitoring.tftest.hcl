# What the module monitoring refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix = "tilt-sensor-lab"
  aws_region  = "us-east-1"
  account_id  = "123456789012"
  functions = {
    parsing         = "parsing"
    distributing    = "distributing"
    db1             = "db1"
    sync            = "sync"
    maintenance     = "maintenance"
    mqtt_command    = "mqtt_command"
    lorawan_command = "lorawan_command"
  }
  schedules = {
    parsing = 300
  }
  queues = {
    distributing = {
      name             = "distributing"
      dead_letter_name = "distributing-dlq"
    }
    db1 = {
      name             = "db1"
      dead_letter_name = "db1-dlq"
    }
    "mqtt-command" = {
      name             = "mqtt-command"
      dead_letter_name = "mqtt-command-dlq"
    }
    "lorawan-command" = {
      name             = "lorawan-command"
      dead_letter_name = "lorawan-command-dlq"
    }
  }
  failed_runs_name = "f"
  broker = {
    cluster_name   = "a"
    service_name   = "b"
    load_balancer  = "net/a/b"
    target_group   = "targetgroup/a/b"
    desired_count  = 2
    file_system_id = "fs-1"
  }
  portal = {
    autoscaling_group = "a"
    load_balancer     = "app/a/b"
    target_group      = "targetgroup/a/b"
    distribution_id   = "E1"
    web_acl_name      = "w"
  }
  aurora_cluster  = "a"
  redis_nodes     = ["r-001"]
  alarm_emails    = ["a@example.com"]
  silence_minutes = 15
  audit = {
    cloudtrail = true
    config     = true
    guardduty  = true
  }
  deletion_protection = false
  log_retention_days  = 30
  kms_key_arn         = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "an_address_that_is_none" {
  command = plan

  variables {
    alarm_emails = ["a"]
  }

  expect_failures = [var.alarm_emails]
}

run "silence_shorter_than_two_runs" {
  command = plan

  variables {
    silence_minutes = 5
  }

  expect_failures = [var.silence_minutes]
}
