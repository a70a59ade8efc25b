resource "aws_security_group" "redis" {
  name        = "${var.name_prefix}-redis-sg"
  description = "ElastiCache Redis"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-redis" }
}

resource "aws_elasticache_subnet_group" "redis" {
  name        = "redis-subnet-${var.name_prefix}"
  description = "Private subnets"
  subnet_ids  = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "redis" {
  name        = "redis-params-${var.name_prefix}"
  description = "A full cache refuses writes instead of signing people out"
  family      = "redis7"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "redis" {
  replication_group_id = "redis-${var.name_prefix}"
  description          = "Status cache and sessions of ${var.name_prefix}"
  engine               = "redis"
  engine_version       = var.engine_version
  node_type            = var.node_type
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.redis.name

  num_cache_clusters         = var.node_count
  automatic_failover_enabled = true
  multi_az_enabled           = true
  subnet_group_name          = aws_elasticache_subnet_group.redis.name
  security_group_ids         = [aws_security_group.redis.id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  user_group_ids             = [aws_elasticache_user_group.redis.user_group_id]

  auto_minor_version_upgrade = true
  maintenance_window         = "sun:05:30-sun:06:30"
  # All of it can be made again from the database, but for sessions: people sign in again.
  snapshot_retention_limit = 0
  apply_immediately        = true

  tags = { Name = "redis-${var.name_prefix}" }
}
