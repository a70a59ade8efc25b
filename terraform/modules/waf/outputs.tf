output "web_acl_arn" {
  description = "Web ACL for the distribution."
  value       = aws_wafv2_web_acl.portal.arn
}

output "web_acl_name" {
  description = "Web ACL, as CloudWatch has it."
  value       = aws_wafv2_web_acl.portal.name
}
