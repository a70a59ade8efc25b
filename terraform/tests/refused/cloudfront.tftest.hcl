# What the module cloudfront refuses before AWS would. Runs on its variables alone: tests/infra/test_refused.py.

variables {
  name_prefix    = "tilt-sensor-lab"
  domain_name    = "tilt.example.com"
  hosted_zone_id = "Z0123456789"
  origin_name    = "origin.tilt.example.com"
  origin_header = {
    name  = "X-A"
    value = "b"
  }
  web_acl_arn       = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"
  price_class       = "PriceClass_100"
  blocked_countries = ["KP"]
}

run "what_is_right_is_taken" {
  command = plan
}

run "an_unknown_price_class" {
  command = plan

  variables {
    price_class = "PriceClass_300"
  }

  expect_failures = [var.price_class]
}

run "a_country_by_its_name" {
  command = plan

  variables {
    blocked_countries = ["Korea"]
  }

  expect_failures = [var.blocked_countries]
}
