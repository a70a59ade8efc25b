output "replication_group_id" {
  description = "Id of the replication group; IAM tokens name it."
  value       = aws_elasticache_replication_group.redis.replication_group_id
}

output "replication_group_arn" {
  description = "ARN of the replication group."
  value       = aws_elasticache_replication_group.redis.arn
}

output "primary_endpoint" {
  description = "Host name of the primary."
  value       = aws_elasticache_replication_group.redis.primary_endpoint_address
}

output "node_ids" {
  description = "Ids of the nodes, as CloudWatch has them."
  value       = [for number in range(var.node_count) : format("redis-%s-%03d", var.name_prefix, number + 1)]
}

output "users" {
  description = "Name and arn of the users that sign in, by the variable's name."
  value       = { for name, user in aws_elasticache_user.iam : name => { name = user.user_name, arn = user.arn } }
}

output "security_group_id" {
  description = "Security group of the cache."
  value       = aws_security_group.redis.id
}
