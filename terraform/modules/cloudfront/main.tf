locals {
  # Policies that CloudFront itself manages; their ids are the same in every account.
  caching_disabled     = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  caching_optimized    = "658327ea-f89d-4fab-a63d-7e88639e58f6"
  all_but_host         = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
  security_headers     = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  static_path_patterns = toset(["/docs/*", "/static/*"])
}

resource "aws_cloudfront_distribution" "portal" {
  # checkov:skip=CKV_AWS_86: WAF logs what is blocked, the load balancer what passes; files that are cached are anybody's
  # checkov:skip=CKV_AWS_305: "/" is answered by the portal
  # checkov:skip=CKV_AWS_310: the origin is a load balancer in two zones
  # checkov:skip=CKV2_AWS_32: every behaviour has one of AWS's own; Checkov finds only those that are defined here
  # checkov:skip=CKV2_AWS_47: its web ACL has the managed rule, in a dynamic block that Checkov does not look into

  enabled         = true
  comment         = "cf-${var.name_prefix}-portal"
  aliases         = [var.domain_name]
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class
  web_acl_id      = var.web_acl_arn

  origin {
    origin_id   = "portal"
    domain_name = var.origin_name

    custom_header {
      name  = var.origin_header.name
      value = var.origin_header.value
    }

    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = "https-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_keepalive_timeout = 55 # shorter than the load balancer's 60 s
      origin_read_timeout      = 60
    }
  }

  # Answers of the API are somebody's: never cached.
  default_cache_behavior {
    target_origin_id           = "portal"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = local.all_but_host
    response_headers_policy_id = local.security_headers
    compress                   = true
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.static_path_patterns

    content {
      path_pattern               = ordered_cache_behavior.key
      target_origin_id           = "portal"
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD"]
      cached_methods             = ["GET", "HEAD"]
      cache_policy_id            = local.caching_optimized
      response_headers_policy_id = local.security_headers
      compress                   = true
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = length(var.blocked_countries) > 0 ? "blacklist" : "none"
      locations        = var.blocked_countries
    }
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.portal.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }

  tags = { Name = "cf-${var.name_prefix}-portal" }
}

resource "aws_route53_record" "portal" {
  for_each = toset(["A", "AAAA"])

  zone_id = var.hosted_zone_id
  name    = var.domain_name
  type    = each.key

  alias {
    name                   = aws_cloudfront_distribution.portal.domain_name
    zone_id                = aws_cloudfront_distribution.portal.hosted_zone_id
    evaluate_target_health = false
  }
}
