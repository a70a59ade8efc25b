# What the module ec2 refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix          = "tilt-sensor-lab"
  vpc_id               = "vpc-1"
  subnet_ids           = ["subnet-1", "subnet-2"]
  instance_type        = "t3.medium"
  architecture         = "x86_64"
  min_size             = 2
  max_size             = 4
  port                 = 8443
  target_group_arn     = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/b"
  instance_profile_arn = "arn:aws:iam::123456789012:instance-profile/a"
  bundle = {
    bucket = "b"
    key    = "k"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
  environment = {
    A = "b"
  }
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "an_instance_type_without_a_size" {
  command = plan

  variables {
    instance_type = "medium"
  }

  expect_failures = [var.instance_type]
}

run "an_instance_type_of_another_architecture" {
  command = plan

  variables {
    instance_type = "t4g.medium"
  }

  expect_failures = [var.instance_type]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    architecture = "aarch64"
  }

  expect_failures = [var.architecture]
}

run "no_instance" {
  command = plan

  variables {
    min_size = 0
  }

  expect_failures = [var.min_size]
}

run "fewer_instances_at_most_than_at_least" {
  command = plan

  variables {
    max_size = 1
  }

  expect_failures = [var.max_size]
}

run "a_checksum_that_is_none" {
  command = plan

  variables {
    bundle = {
      bucket = "b"
      key    = "k"
      sha256 = "f00"
    }
  }

  expect_failures = [var.bundle]
}
