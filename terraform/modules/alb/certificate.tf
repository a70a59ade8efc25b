resource "aws_acm_certificate" "origin" {
  domain_name       = var.origin_name
  validation_method = "DNS"

  tags = { Name = "acm-${var.name_prefix}-origin" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "origin_validation" {
  for_each = toset([var.origin_name])

  zone_id = var.hosted_zone_id
  name    = one([for option in aws_acm_certificate.origin.domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type    = one([for option in aws_acm_certificate.origin.domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records = [one([for option in aws_acm_certificate.origin.domain_validation_options : option.resource_record_value if option.domain_name == each.key])]
  ttl     = 300
}

resource "aws_acm_certificate_validation" "origin" {
  certificate_arn         = aws_acm_certificate.origin.arn
  validation_record_fqdns = [for record in aws_route53_record.origin_validation : record.fqdn]
}

resource "aws_route53_record" "origin" {
  zone_id = var.hosted_zone_id
  name    = var.origin_name
  type    = "A"

  alias {
    name                   = aws_lb.portal_alb.dns_name
    zone_id                = aws_lb.portal_alb.zone_id
    evaluate_target_health = false
  }
}
