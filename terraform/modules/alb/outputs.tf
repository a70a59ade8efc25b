output "dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.portal_alb.dns_name
}

output "arn_suffix" {
  description = "The load balancer, as CloudWatch has it."
  value       = aws_lb.portal_alb.arn_suffix
}

output "target_group_arn" {
  description = "Target group of the portal, once a listener forwards to it."
  value       = aws_lb_target_group.portal_api.arn
  depends_on  = [aws_lb_listener_rule.from_cloudfront]
}

output "target_group_arn_suffix" {
  description = "The target group, as CloudWatch has it."
  value       = aws_lb_target_group.portal_api.arn_suffix
}

output "security_group_id" {
  description = "Security group of the load balancer."
  value       = aws_security_group.alb.id
}

output "origin_name" {
  description = "Name by which CloudFront reaches the load balancer, once it resolves."
  value       = aws_route53_record.origin.fqdn
}
