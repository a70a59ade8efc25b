output "vpc_id" {
  description = "VPC ID."
  value       = aws_vpc.main.id
}

output "public_subnet_ids" {
  description = "Public subnet ids, in the order of the zones."
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "private_subnet_ids" {
  description = "Private subnet ids, in the order of the zones."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "endpoints_security_group_id" {
  description = "Security group of the interface endpoints."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Addresses of S3, behind the gateway endpoint."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "flow_log_group_arn" {
  description = "Log group of the flow logs; empty where they are off."
  value       = join("", aws_cloudwatch_log_group.flow_logs[*].arn)
}
