# CloudFront takes certificates of us-east-1 only.
resource "aws_acm_certificate" "portal" {
  provider = aws.us_east_1

  domain_name       = var.domain_name
  validation_method = "DNS"

  tags = { Name = "acm-${var.name_prefix}-portal" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "portal_validation" {
  for_each = toset([var.domain_name])

  zone_id = var.hosted_zone_id
  name    = one([for option in aws_acm_certificate.portal.domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type    = one([for option in aws_acm_certificate.portal.domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records = [one([for option in aws_acm_certificate.portal.domain_validation_options : option.resource_record_value if option.domain_name == each.key])]
  ttl     = 300
}

resource "aws_acm_certificate_validation" "portal" {
  provider = aws.us_east_1

  certificate_arn         = aws_acm_certificate.portal.arn
  validation_record_fqdns = [for record in aws_route53_record.portal_validation : record.fqdn]
}
