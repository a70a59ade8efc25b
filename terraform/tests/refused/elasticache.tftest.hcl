# What the module elasticache refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix    = "tilt-sensor-lab"
  vpc_id         = "vpc-1"
  subnet_ids     = ["subnet-1", "subnet-2"]
  node_type      = "cache.t3.micro"
  engine_version = "7.1"
  node_count     = 2
  users = {
    sync = "on ~* +@all"
  }
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_node_type_without_cache" {
  command = plan

  variables {
    node_type = "t3.micro"
  }

  expect_failures = [var.node_type]
}

run "a_node_type_of_the_first_generation" {
  command = plan

  variables {
    node_type = "cache.m1.small"
  }

  expect_failures = [var.node_type]
}

run "a_redis_without_iam" {
  command = plan

  variables {
    engine_version = "6.2"
  }

  expect_failures = [var.engine_version]
}

run "a_single_node" {
  command = plan

  variables {
    node_count = 1
  }

  expect_failures = [var.node_count]
}

run "a_user_in_capitals" {
  command = plan

  variables {
    users = {
      Sync = "on ~* +@all"
    }
  }

  expect_failures = [var.users]
}
