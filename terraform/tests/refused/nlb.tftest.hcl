# What the module nlb refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix         = "tilt-sensor-lab"
  vpc_id              = "vpc-1"
  subnet_ids          = ["subnet-1", "subnet-2"]
  ports               = [8883]
  deletion_protection = false
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_name_of_more_than_32_characters" {
  command = plan

  variables {
    name_prefix = "tilt-sensor-laboratory-1"
  }

  expect_failures = [var.name_prefix]
}
