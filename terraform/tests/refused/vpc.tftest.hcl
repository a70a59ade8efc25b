# What the module vpc refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix        = "tilt-sensor-lab"
  aws_region         = "us-east-1"
  account_id         = "123456789012"
  vpc_cidr           = "10.0.0.0/16"
  availability_zones = ["us-east-1a", "us-east-1b"]
  private_access     = "endpoints"
  endpoint_services  = ["sqs"]
  flow_logs_enabled  = false
  flow_logs_role_arn = ""
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_block_that_is_too_small" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "one_zone" {
  command = plan

  variables {
    availability_zones = ["us-east-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "the_same_zone_twice" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "us-east-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "ten_zones" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1e", "us-east-1f", "us-east-1g", "us-east-1h", "us-east-1i", "us-east-1j"]
  }

  expect_failures = [var.availability_zones]
}

run "a_zone_of_another_region" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "eu-west-1b"]
  }

  expect_failures = [var.availability_zones]
}

run "another_way_to_aws" {
  command = plan

  variables {
    private_access = "internet"
  }

  expect_failures = [var.private_access]
}
