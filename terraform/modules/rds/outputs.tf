output "cluster_identifier" {
  description = "Identifier of the cluster."
  value       = aws_rds_cluster.aurora.cluster_identifier
}

output "cluster_resource_id" {
  description = "What IAM calls the cluster in rds-db:connect."
  value       = aws_rds_cluster.aurora.cluster_resource_id
}

output "cluster_endpoint" {
  description = "Host name of the writer."
  value       = aws_rds_cluster.aurora.endpoint
}

output "instance_identifiers" {
  description = "Identifiers of the instances."
  value       = [for instance in aws_rds_cluster_instance.aurora : instance.identifier]
}

output "security_group_id" {
  description = "Security group of the cluster."
  value       = aws_security_group.aurora.id
}

output "master_secret_arn" {
  description = "Secret with the master user's name and password."
  value       = aws_rds_cluster.aurora.master_user_secret[0].secret_arn
}
