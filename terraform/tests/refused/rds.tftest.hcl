# What the module rds refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix           = "tilt-sensor-lab"
  vpc_id                = "vpc-1"
  subnet_ids            = ["subnet-1", "subnet-2"]
  engine_version        = "15.10"
  min_capacity          = 1.5
  max_capacity          = 2
  instance_count        = 2
  backup_retention_days = 7
  deletion_protection   = false
  database_name         = "plumbline"
  log_retention_days    = 30
  kms_key_arn           = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_version_without_a_minor_one" {
  command = plan

  variables {
    engine_version = "15"
  }

  expect_failures = [var.engine_version]
}

run "a_version_that_is_retired" {
  command = plan

  variables {
    engine_version = "13.9"
  }

  expect_failures = [var.engine_version]
}

run "a_cluster_that_sleeps" {
  command = plan

  variables {
    min_capacity = 0
  }

  expect_failures = [var.min_capacity]
}

run "a_quarter_of_a_unit" {
  command = plan

  variables {
    min_capacity = 0.75
  }

  expect_failures = [var.min_capacity]
}

run "too_small_a_maximum" {
  command = plan

  variables {
    max_capacity = 0.5
  }

  expect_failures = [var.max_capacity]
}

run "a_maximum_below_the_minimum" {
  command = plan

  variables {
    max_capacity = 1
  }

  expect_failures = [var.max_capacity]
}

run "no_instance" {
  command = plan

  variables {
    instance_count = 0
  }

  expect_failures = [var.instance_count]
}

run "backups_for_more_than_35_days" {
  command = plan

  variables {
    backup_retention_days = 36
  }

  expect_failures = [var.backup_retention_days]
}
