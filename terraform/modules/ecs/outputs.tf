output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.main.name
}

output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.main.arn
}

output "service_name" {
  description = "Name of the broker's service."
  value       = "ecs-service-${var.name_prefix}-broker"
}

output "security_group_id" {
  description = "Security group of the broker's tasks."
  value       = aws_security_group.ecs_broker.id
}

output "efs_security_group_id" {
  description = "Security group of the file system."
  value       = aws_security_group.efs.id
}

output "file_system_arn" {
  description = "File system with the queues."
  value       = aws_efs_file_system.queues.arn
}

output "file_system_id" {
  description = "Id of the file system with the queues."
  value       = aws_efs_file_system.queues.id
}

output "access_point_arn" {
  description = "The tasks' way into the file system."
  value       = aws_efs_access_point.queues.arn
}

output "log_group_name" {
  description = "Log of the broker."
  value       = aws_cloudwatch_log_group.broker.name
}

output "log_group_arn" {
  description = "Log of the broker."
  value       = aws_cloudwatch_log_group.broker.arn
}

output "repository_arn" {
  description = "Repository of the broker's image."
  value       = aws_ecr_repository.broker.arn
}

output "repository_url" {
  description = "Where the broker's image is pushed to."
  value       = aws_ecr_repository.broker.repository_url
}

output "tasks_host" {
  description = "Name that resolves to every task, inside the VPC."
  value       = "${aws_service_discovery_service.tasks.name}.${aws_service_discovery_private_dns_namespace.broker.name}"
}

output "service_user_secret_arns" {
  description = "Secrets with the passwords of ingest, command and monitor."
  value       = { for user, secret in aws_secretsmanager_secret.service_user : user => secret.arn }
}

output "tls_secret_arn" {
  description = "Secret for the broker's certificate and key."
  value       = aws_secretsmanager_secret.tls.arn
}
