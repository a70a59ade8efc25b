# What the module ecs refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix      = "tilt-sensor-lab"
  aws_region       = "us-east-1"
  vpc_id           = "vpc-1"
  subnet_ids       = ["subnet-1", "subnet-2"]
  task_cpu         = 512
  task_memory      = 1024
  desired_count    = 2
  max_count        = 4
  cpu_architecture = "X86_64"
  image_tag        = "0.1.0"
  topics           = ["tilt/+/telemetry"]
  ports            = [8883]
  namespace        = "mqtt.tilt.example.com"
  target_group_arns = {
    "8883" = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/b"
  }
  execution_role_arn = "arn:aws:iam::123456789012:role/a"
  task_role_arn      = "arn:aws:iam::123456789012:role/b"
  passwords_url      = "s3://b/k"
  max_queued_bytes   = 268435456
  password_version   = 1
  log_retention_days = 30
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_cpu_that_fargate_does_not_have" {
  command = plan

  variables {
    task_cpu = 500
  }

  expect_failures = [var.task_cpu]
}

run "memory_that_does_not_go_with_the_cpu" {
  command = plan

  variables {
    task_memory = 8192
  }

  expect_failures = [var.task_memory]
}

run "no_task" {
  command = plan

  variables {
    desired_count = 0
  }

  expect_failures = [var.desired_count]
}

run "fewer_tasks_at_most_than_always" {
  command = plan

  variables {
    max_count = 1
  }

  expect_failures = [var.max_count]
}

run "a_ninth_task" {
  command = plan

  variables {
    max_count = 9
  }

  expect_failures = [var.max_count]
}

run "an_unknown_architecture" {
  command = plan

  variables {
    cpu_architecture = "x86"
  }

  expect_failures = [var.cpu_architecture]
}

run "a_tag_that_moves" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}

run "more_that_waits_than_there_is_memory" {
  command = plan

  variables {
    max_queued_bytes = 1073741824
  }

  expect_failures = [var.max_queued_bytes]
}

run "a_password_version_of_zero" {
  command = plan

  variables {
    password_version = 0
  }

  expect_failures = [var.password_version]
}
