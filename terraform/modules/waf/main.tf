# All of it in us-east-1, as CloudFront wants it.

locals {
  managed_rules = {
    core             = { priority = 1, group = "AWSManagedRulesCommonRuleSet" }
    known-bad-inputs = { priority = 2, group = "AWSManagedRulesKnownBadInputsRuleSet" }
  }
}

resource "aws_wafv2_web_acl" "portal" {
  # checkov:skip=CKV_AWS_192: the group of known bad inputs has the rule; Checkov does not look into dynamic blocks

  provider = aws.us_east_1

  name        = "waf-${var.name_prefix}-portal"
  description = "Filters requests to the portal"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.value.group
        }
      }

      visibility_config {
        metric_name                = rule.key
        cloudwatch_metrics_enabled = true
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "rate"
    priority = 3

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit                 = var.rate_limit
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      metric_name                = "rate"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "sql-injection"
    priority = 4

    action {
      block {}
    }

    statement {
      or_statement {
        statement {
          sqli_match_statement {
            sensitivity_level = "HIGH"

            field_to_match {
              all_query_arguments {}
            }

            text_transformation {
              priority = 0
              type     = "URL_DECODE"
            }
          }
        }

        statement {
          sqli_match_statement {
            sensitivity_level = "HIGH"

            field_to_match {
              uri_path {}
            }

            text_transformation {
              priority = 0
              type     = "URL_DECODE"
            }
          }
        }

        statement {
          sqli_match_statement {
            sensitivity_level = "LOW" # passwords look like anything

            field_to_match {
              json_body {
                match_scope               = "VALUE"
                invalid_fallback_behavior = "EVALUATE_AS_STRING"
                oversize_handling         = "CONTINUE"

                match_pattern {
                  all {}
                }
              }
            }

            text_transformation {
              priority = 0
              type     = "NONE"
            }
          }
        }
      }
    }

    visibility_config {
      metric_name                = "sql-injection"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    metric_name                = "waf-${var.name_prefix}-portal"
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = true
  }
}

# WAF writes only to groups whose names begin like this.
resource "aws_cloudwatch_log_group" "waf" {
  # checkov:skip=CKV_AWS_158: in us-east-1, where the key need not be; CloudWatch encrypts it with its own
  # checkov:skip=CKV_AWS_338: as long as the other logs, by a variable

  provider = aws.us_east_1

  name              = "aws-waf-logs-${var.name_prefix}-portal"
  retention_in_days = var.log_retention_days
}

resource "aws_wafv2_web_acl_logging_configuration" "portal" {
  provider = aws.us_east_1

  resource_arn            = aws_wafv2_web_acl.portal.arn
  log_destination_configs = [aws_cloudwatch_log_group.waf.arn]

  # Whoever has them is signed in.
  dynamic "redacted_fields" {
    for_each = toset(["authorization", "cookie"])

    content {
      single_header {
        name = redacted_fields.key
      }
    }
  }

  # What passes is in the load balancer's log.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }
}
