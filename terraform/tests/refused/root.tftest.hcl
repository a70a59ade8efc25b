# What the deployment refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  domain_name      = "tilt.example.com"
  hosted_zone_id   = "Z0123456789ABCDEFGHIJ"
  broker_image_tag = "0.1.0"
  lambda_package   = "tests/packages/lambdas.json"
  portal_package   = "tests/packages/portal.json"
}

run "what_is_right_is_taken" {
  command = plan
}

run "a_project_in_capitals" {
  command = plan

  variables {
    project = "Tilt"
  }

  expect_failures = [var.project]
}

run "an_app_with_a_hyphen" {
  command = plan

  variables {
    app = "sen-sor"
  }

  expect_failures = [var.app]
}

run "an_environment_with_a_blank" {
  command = plan

  variables {
    env = "my lab"
  }

  expect_failures = [var.env]
}

run "names_that_are_too_long" {
  command = plan

  variables {
    env = "laboratory"
  }

  expect_failures = [var.env]
}

run "a_region_that_is_none" {
  command = plan

  variables {
    aws_region = "virginia"
  }

  expect_failures = [var.aws_region]
}

run "an_account_that_is_none" {
  command = plan

  variables {
    allowed_account_ids = ["1"]
  }

  expect_failures = [var.allowed_account_ids]
}

run "a_domain_name_with_https" {
  command = plan

  variables {
    domain_name = "https://tilt.example.com"
  }

  expect_failures = [var.domain_name]
}

run "a_zone_by_its_name" {
  command = plan

  variables {
    hosted_zone_id = "example.com"
  }

  expect_failures = [var.hosted_zone_id]
}

run "a_parsing_run_longer_than_the_interval" {
  command = plan

  variables {
    lambda_parsing_timeout = 301
  }

  expect_failures = [var.lambda_parsing_timeout]
}

run "a_package_that_is_not_there" {
  command = plan

  variables {
    lambda_package = "nowhere/lambdas.json"
  }

  expect_failures = [var.lambda_package]
}

run "a_certificate_by_its_path" {
  command = plan

  variables {
    broker_ca_pem = "ca.pem"
  }

  expect_failures = [var.broker_ca_pem]
}

run "a_certificate_that_lambda_has_no_place_for" {
  command = plan

  variables {
    broker_ca_pem = format("-----BEGIN CERTIFICATE-----%02560d", 0)
  }

  expect_failures = [var.broker_ca_pem]
}

run "devices_from_nowhere" {
  command = plan

  variables {
    device_cidrs = []
  }

  expect_failures = [var.device_cidrs]
}

run "topics_with_a_comma" {
  command = plan

  variables {
    mqtt_topics = ["a,b"]
  }

  expect_failures = [var.mqtt_topics]
}

run "a_portal_package_that_is_not_there" {
  command = plan

  variables {
    portal_package = "nowhere/portal.json"
  }

  expect_failures = [var.portal_package]
}

run "logs_for_eight_days" {
  command = plan

  variables {
    log_retention_days = 8
  }

  expect_failures = [var.log_retention_days]
}

run "passwords_in_the_clear_across_the_internet" {
  command = plan

  variables {
    mqtt_plain_enabled = true
  }

  expect_failures = [var.device_cidrs]
}
